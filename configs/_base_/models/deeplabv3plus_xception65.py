# DeepLabV3+ with timm's Xception-65, output stride 16. For ImageNet weights set backbone.pretrained=True
# (timm downloads them) or backbone.checkpoint_path to a local file.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='TIMMBackbone',
        model_name='xception65',
        features_only=True,
        pretrained=False,
        output_stride=16,
        out_indices=(1, 2, 3, 4)),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=2048,
        in_index=3,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        dropout_ratio=0.1,
        num_classes=81,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
