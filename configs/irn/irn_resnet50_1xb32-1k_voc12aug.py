# IRNet as published (card `irn`, run_sample.py): VOC12 train_aug, 3 epochs of 10582 images, crop 512, on the seeds of
# configs/cam/cam_resnet50-d16_1xb16-3.3k_voc12aug.py; README.md has the command that writes them.
_base_ = ['../_base_/models/cam_r50.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']
seeds = 'work_dirs/cam_resnet50-d16_1xb16-3.3k_voc12aug/seeds'
model = dict(
    _delete_=True,
    type='IRNet',
    num_classes=_base_.num_classes,
    cam=_base_.model,
    cam_checkpoint='work_dirs/cam_resnet50-d16_1xb16-3.3k_voc12aug/iter_3310.pth',
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    stages=('maxpool', 'layer1', 'layer2', 'layer3', 'layer4'),
    heads=dict(in_channels=(64, 256, 512, 1024, 2048), strides=(4, 4, 8, 16, 16)),
    seed_source='masks',
    walk=dict(beta=10, exp_times=8),
    seed=dict(thr=0.25),
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 32
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(dataset=dict(_delete_=True, type='PseudoLabelDataset', folder=seeds, pipeline=train_pipeline)))
max_iters = 992
# SGD without momentum: the authors' PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(displace=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
