# CAM of MobileNetV2 with stride 16, from the ImageNet weights in $MMSEG_WEAK_DATA/weights or data/weights.
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/mobilenetv2_1.0_imagenet_mmseg.pth'
model = dict(
    type='CAMClassifier',
    num_classes=21,
    backbone=dict(
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 1, 1),
        out_indices=(6, ),
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint=weights)),
    head=dict(in_channels=320, pooling='gap'),
    seed=dict(scales=(1.0, 0.5, 1.5), rounding='round'),  # without IRN's 2, half of the work
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
