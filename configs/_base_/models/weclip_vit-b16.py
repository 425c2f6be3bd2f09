# WeCLIP with OpenAI's ViT-B/16 (card `weclip`; zbf1991/WeCLIP, scripts/dist_clip_voc.py). The images are normalised by
# ImageNet's mean and deviation, as there.
model = dict(
    type='WeCLIP',
    clip=dict(type='OpenCLIP', name='ViT-B-16', pretrained='openai', positions='bilinear', templates='origami'),
    classes='voc12_tags',
    num_classes=21,
    decoder=dict(channels=256, depth=3, num_heads=8, dropout_ratio=0.1),
    share=0.4,
    last=8,
    last_refined=6,
    refine_begin=15000,
    radius=8,
    infer_long_px=512,
    test_cfg=dict(mode='decode', scales=(1.0, 0.75), flip=True, merge='mean'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
