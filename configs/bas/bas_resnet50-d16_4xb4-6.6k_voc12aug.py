# BAS for seeds, VOC 2012 train_aug, ResNet-50 (extended paper, seeds on train): 10 epochs of 10582 images, 16 a step on
# four GPUs. Numbers are the repository's (WSSS/train_bas.py) unless a comment says otherwise.
_base_ = ['../_base_/models/cam_r50.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']
crop_size = (448, 448)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.64, 1.28)),  # ours: the recipe of the CAM it is compared with
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 4
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(
    _delete_=True,
    type='BAS',
    num_classes=21,
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    tail=('layer4', ),
    feature_channels=1024,
    in_channels=2048,
    frg_weight=0.2,
    area_weight=1.2,
    add_cam=True,
    seed=dict(_base_.model['seed'], thr=0.3),
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=crop_size))
max_iters = 6610
no_rate = dict(lr_mult=0.0, decay_mult=0.0)  # the authors hand weights alone to the optimizer
# SGD without momentum: the authors' PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            '.bias': no_rate,
            'classifier': dict(lr_mult=10.0),
            'generator': dict(lr_mult=10.0)
        }))
# the authors count the steps of one GPU alone, four times those that are made: the rate ends at 0.77 of its beginning
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=4 * max_iters, warmup_iters=0, power=0.9, end=max_iters)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
