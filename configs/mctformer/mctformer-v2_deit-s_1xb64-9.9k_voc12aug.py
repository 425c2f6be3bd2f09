# MCTformer V2 on VOC 2012 train_aug (CVPR 2022, main results): DeiT-S, crop 224, 60 epochs of 166 iterations.
_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py'
]
crop_size = (224, 224)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),  # ours; the authors take DeiT's random resized crops
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 64
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(
    version='v2',
    backbone=dict(img_size=224, position_offset=0.1),
    seed=dict(scales=(1.0, ), flip='none'),
    data_preprocessor=dict(size=crop_size))
max_iters = 9960
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6.25e-05, weight_decay=0.05),  # 5e-4 a batch of 512
    paramwise_cfg=dict(  # timm's: no decay of norms, biases, tokens and positions
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(cls_token=no_decay, pos_embed=no_decay)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.016, by_epoch=False, begin=0, end=830),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=830, end=max_iters)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
