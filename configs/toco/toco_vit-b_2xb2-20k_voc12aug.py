# ToCo with DeiT-B on VOC 2012 train_aug (CVPR 2023, main results): crop 448, 2 images on each of two GPUs.
_base_ = [
    '../_base_/models/toco_vit-b.py', '../_base_/datasets/voc12_tags.py', '../_base_/schedules/tags_vit_20k.py',
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
model = dict(data_preprocessor=dict(size=crop_size))
