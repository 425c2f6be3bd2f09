# CAM with IRN's recipe (CVPR 2019, card `cam_seeds`), VOC12 train_aug: 5 epochs of 10582 images, crop 512.
_base_ = [
    '../_base_/models/cam_r50.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.64, 1.28)),  # long side 320 to 640; VOC's photographs have 500
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
max_iters = 3310
# SGD without momentum: the authors' PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
