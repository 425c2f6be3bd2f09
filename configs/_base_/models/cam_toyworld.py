# Plain CAM from scratch for ToyWorld: ResNet-18 of a quarter of its width, maps of 1/8, as IRN keeps them finer.
model = dict(
    type='CAMClassifier',
    num_classes=8,
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        norm_cfg=dict(type='SyncBN', requires_grad=True)),
    head=dict(in_channels=128, pooling='gap'),
    seed=dict(scales=(1.0, 0.5, 1.5)),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
