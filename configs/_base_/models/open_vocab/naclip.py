# NACLIP, arXiv 2404.08181: k-k attention that prefers neighbours, without residual and FFN; PAMR on cosines.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='naclip',
        attention_cfg=dict(std=5.0),
        residual=False,
        ffn=False,
        positions='offset'),
    refiner=dict(type='PAMR', num_iter=10, dilations=(8, 16)),
    test_cfg=dict(short_side_px=336, crop_px=224, stride_px=112, scale=40.0))
