# SCLIP, arXiv 2312.01597: q-q and k-k attention in the last block; residual and FFN stay.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='sclip',
        positions='offset'),
    test_cfg=dict(short_side_px=336, crop_px=224, stride_px=112, scale=40.0))
