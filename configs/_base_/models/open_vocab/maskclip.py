# MaskCLIP, arXiv 2112.01071: every patch keeps its own value in the last block; residual and FFN stay.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='value',
        positions='size',
        templates='maskclip'),
    test_cfg=dict(short_side_px=512, crop_px=512, stride_px=341, scale=100.0))
