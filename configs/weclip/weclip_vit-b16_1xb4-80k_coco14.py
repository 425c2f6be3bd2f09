# WeCLIP on COCO 2014 (CVPR 2024, main results): 47.1 mIoU on val with scales and CRF. Crop 320, 4 images on one GPU.
_base_ = [
    '../_base_/models/weclip_vit-b16.py', '../_base_/datasets/coco14_tags.py', '../_base_/schedules/tags_clip_30k.py',
    '../_base_/default_runtime.py'
]
crop_size = (320, 320)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 4
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(
    classes='coco14_tags',
    num_classes=81,
    share=0.7,
    last_refined=10,
    refine_begin=40000,
    data_preprocessor=dict(size=crop_size))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
max_iters = 80000
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=max_iters, warmup_iters=50, warmup_ratio=1e-6, power=1.0, end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=10000)
