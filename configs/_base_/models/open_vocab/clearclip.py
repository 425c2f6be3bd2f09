# ClearCLIP, arXiv 2407.12442: q-q attention in the last block, without residual and FFN.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='clearclip',
        residual=False,
        ffn=False,
        positions='offset'),
    test_cfg=dict(short_side_px=448, crop_px=448, stride_px=224, multiple_px=16, scale=50.0))
