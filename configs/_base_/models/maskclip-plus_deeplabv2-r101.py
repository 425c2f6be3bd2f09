# MaskCLIP+: DeepLabV2 with ResNet-101 learns from CLIP's RN50. The head has as many channels as a text vector is long.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='MaskCLIPPlus',
    clip=dict(
        type='OpenCLIP',
        name='RN50',
        pretrained='openai',
        attention='value',
        positions='size',
        templates='maskclip'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='ResNetV1c',
            depth=101,
            num_stages=4,
            out_indices=(0, 1, 2, 3),
            dilations=(1, 1, 2, 4),
            strides=(1, 2, 1, 1),
            norm_cfg=norm_cfg,
            norm_eval=False,
            style='pytorch',
            contract_dilation=True,
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c')),
        decode_head=dict(
            type='SumASPPHead',
            in_channels=2048,
            in_index=3,
            channels=None,
            dilations=(6, 12, 18, 24),
            dropout_ratio=0.0,
            num_classes=20,
            norm_cfg=norm_cfg,
            align_corners=False,
            # avg_non_ignore: mmseg otherwise divides by ignored pixels too.
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0)),
        train_cfg=dict(),
        test_cfg=dict(mode='whole')))
