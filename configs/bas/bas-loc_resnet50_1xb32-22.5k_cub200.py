# BAS for localisation, CUB-200-2011, ResNet-50 (extended paper, CUB table): 120 epochs of 5994 images, rate x 0.1 after
# 80. Numbers are the repository's (WSOL/utils/hyperparameters.py, optimizer.py) unless a comment says otherwise.
_base_ = ['../_base_/datasets/cub_localization.py', '../_base_/default_runtime.py']
model = dict(
    type='BASLocalizer',
    num_classes=201,
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 1, 1),  # F has stride 8; the max-pool before layer4 makes it 16
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    tail=('layer4', ),
    feature_channels=1024,
    in_channels=2048,
    mid_channels=1024,
    pool=2,
    frg_weight=0.5,
    area_weight=1.5,
    test_cfg=dict(topk=200, box_thr=0.1, crop=224, ten_crop=True),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
max_iters = 22440
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, nesterov=True, weight_decay=5e-4),
    paramwise_cfg=dict(
        custom_keys={
            '.bias': dict(lr_mult=2.0),  # of BatchNorm too, which bias_lr_mult would leave out
            'classifier': dict(lr_mult=10.0),
            'generator': dict(lr_mult=10.0),
            'classifier.0.bias': dict(lr_mult=20.0),
            'classifier.2.bias': dict(lr_mult=20.0),
            'classifier.4.bias': dict(lr_mult=20.0),
            'generator.bias': dict(lr_mult=20.0)
        }))
param_scheduler = [dict(type='MultiStepLR', milestones=[14960], gamma=0.1, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=1870)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric', box_thr=0.1)
test_evaluator = dict(type='LocalizationMetric', box_thr=0.1, thr_interval=0.001)
