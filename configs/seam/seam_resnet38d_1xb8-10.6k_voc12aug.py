# SEAM as published (card `seam`, train_SEAM.py): VOC12 train_aug, 8 epochs of 10582 images, crop 448.
_base_ = ['../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']
crop_size = (448, 448)
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/ilsvrc-cls_rna-a1_cls1000_ep-0001.params'
model = dict(
    type='SEAM',
    num_classes=_base_.num_classes,
    backbone=dict(type='ResNet38d', checkpoint=weights),
    in_channels=4096,
    in_index=(0, 1, 2),
    correlation=dict(in_channels=(512, 1024), channels=(64, 128)),
    view_scale=0.3,
    seed=dict(scales=(0.5, 1.0, 1.5, 2.0), rounding='round'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.9, 1.54)),  # long side 448 to 768; VOC's photographs have 500
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PhotoMetricDistortion', brightness_delta=32, contrast_range=(0.7, 1.3), saturation_range=(0.7, 1.3),
         hue_delta=18),
    dict(type='PackSemiInputs')
]
batch = 8
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
max_iters = 10582
# SGD without momentum: the authors' PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=5e-4, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(fc8=dict(lr_mult=10.0), correlation=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
