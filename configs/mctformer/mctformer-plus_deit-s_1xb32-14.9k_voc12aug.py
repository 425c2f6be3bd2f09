# MCTformer+ on VOC 2012 train_aug (arXiv 2308.03005, main results): DeiT-S, crop 448, 45 epochs of 331 iterations.
_base_ = [
    '../_base_/models/mctformer_deit-s.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py'
]
crop_size = (448, 448)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),  # ours; the authors take DeiT's random resized crops
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 32
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(
    version='plus',
    data_preprocessor=dict(size=crop_size))
max_iters = 14895
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3.125e-05, weight_decay=0.05),  # 5e-4 a batch of 512
    paramwise_cfg=dict(  # timm's: no decay of norms, biases, tokens and positions
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(cls_token=no_decay, pos_embed=no_decay)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.032, by_epoch=False, begin=0, end=1655),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=1655, end=max_iters)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
