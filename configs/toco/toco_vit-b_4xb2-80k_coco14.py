# ToCo with DeiT-B on COCO 2014 (CVPR 2023, main results): in stages, crop 448, 2 images on each of four GPUs.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/datasets/coco14_tags.py', '../_base_/schedules/tags_vit_20k.py',
    '../_base_/default_runtime.py'
]
crop_size = (448, 448)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 2
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(
    num_classes=81,
    high_thr=0.65,
    low_thr=0.25,
    temperature=1.0,
    begin=dict(contrast=12000, seg=8000, main=12000),
    seed=dict(thr=0.45),
    data_preprocessor=dict(size=crop_size))
max_iters = 80000
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=max_iters, warmup_iters=1500, warmup_ratio=1e-6, power=0.9, end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=10000)
