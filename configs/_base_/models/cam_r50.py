# CAM of ResNet-50 as IRN has it: stride 16, stem to stage 2 frozen, BatchNorm on its running statistics.
# Card `cam_seeds`; jiwoon-ahn/irn, net/resnet50_cam.py.
model = dict(
    type='CAMClassifier',
    num_classes=21,
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        frozen_stages=2,
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    head=dict(in_channels=2048, pooling='gap'),
    seed=dict(scales=(1.0, 0.5, 1.5, 2.0), flip='sum', normalize='max', stride=16, rounding='round'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
