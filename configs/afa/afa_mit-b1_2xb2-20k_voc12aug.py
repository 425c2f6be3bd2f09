# AFA with MiT-B1 on VOC 2012 train_aug (CVPR 2022, main results): crop 320, 2 images a GPU.
_base_ = [
    '../_base_/models/afa_mit-b1.py', '../_base_/datasets/voc12_tags.py', '../_base_/schedules/tags_vit_20k.py',
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
batch = 2
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch), dataset=dict(dataset=dict(pipeline=train_pipeline)))
model = dict(data_preprocessor=dict(size=crop_size))
frozen_norm = dict(lr_mult=0.0, decay_mult=0.0)  # the authors give the backbone's norms a rate of 0
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'norm': frozen_norm,
            'layers.0.2': frozen_norm,
            'layers.1.2': frozen_norm,
            'layers.2.2': frozen_norm,
            'layers.3.2': frozen_norm,
            'affinity': dict(lr_mult=10.0)
        }))
param_scheduler = [
    dict(
        type='WarmupPolyLR', max_iters=_base_.max_iters, warmup_iters=1500, warmup_ratio=1e-6, power=1.0,
        end=_base_.max_iters)
]
custom_hooks = []
