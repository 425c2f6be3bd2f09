# WeCLIP on VOC 2012 train_aug (CVPR 2024, main results): 76.4 mIoU on val with scales and CRF, recalled from the paper.
# Crop 320, 4 images on one GPU; rate 2e-4, ten times that for the decoder.
_base_ = [
    '../_base_/models/weclip_vit-b16.py', '../_base_/datasets/voc12_tags.py', '../_base_/schedules/tags_clip_30k.py',
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
model = dict(data_preprocessor=dict(size=crop_size))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
