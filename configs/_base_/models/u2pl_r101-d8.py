# U2PL's DeepLabV3+: ResNet-101 at stride 8 with multi-grid, ASPP 12/24/36, 256 low-level channels, classifier
# of three layers; the representation branch is the method's. Multi-grid 2, 2, 4 multiplies the dilations 2,
# 4, 4 that the blocks of the last stage have at stride 8; mmseg's multi_grid is the product.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        multi_grid=(4, 8, 16),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c')),
    decode_head=dict(
        type='U2PLHead',
        in_channels=2048,
        in_index=3,
        channels=256,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
