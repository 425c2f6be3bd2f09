# CLIP as it is, the way ClearCLIP's authors evaluate it: its last block attends as it was trained.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='vanilla',
        positions='offset'),
    test_cfg=dict(short_side_px=448, crop_px=448, stride_px=224, multiple_px=16, scale=50.0))
