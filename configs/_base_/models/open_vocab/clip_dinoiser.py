# CLIP-DINOiser, arXiv 2312.12359: MaskCLIP's features, pooled over patches that a learned convolution puts together.
# `head` is a local file, the authors' checkpoints/last.pt or one of your own training; None has random weights.
head = 'pretrained/clip_dinoiser.pt'
model = dict(
    type='CLIPDINOiser',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='laion2b_s34b_b88k',
        attention='value',
        positions='size'),
    head=dict(type='CLIPDINOiserHead', channels=256, kernel_size=3, gamma=0.2, checkpoint=head),
    layer=-3,
    delta=0.99,
    test_cfg=dict(short_side_px=448, crop_px=448, stride_px=224, multiple_px=16, scale=100.0))
