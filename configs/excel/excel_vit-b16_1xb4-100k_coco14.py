# ExCEL on COCO 2014 (CVPR 2025, main results): 50.3 mIoU on val. Crop 320, 4 images on one GPU.
_base_ = [
    '../_base_/models/excel_vit-b16.py', '../_base_/datasets/coco14_tags.py', '../_base_/schedules/tags_clip_30k.py',
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
    attributes='{{$MMSEG_WEAK_DATA:data}}/excel/attributes_coco14.json',  # README.md
    num_attributes=224,
    share=0.88,
    begin=dict(learn=30000, own=None),
    data_preprocessor=dict(size=crop_size))
max_iters = 100000
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=max_iters, warmup_iters=200, warmup_ratio=1e-6, power=1.0, end=max_iters)
]
train_cfg = dict(max_iters=max_iters, val_interval=10000)
