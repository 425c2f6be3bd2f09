# SAT for localisation, CUB-200-2011, DeiT-S/16 (ICCV 2023, CUB table): 30 epochs of 5994 images, 256 a batch. Numbers
# are the repository's (train.py), whose cosine is computed and never reaches the optimizer: the rate stays.
_base_ = ['../_base_/datasets/cub_localization.py', '../_base_/default_runtime.py']
batch = 256
train_dataloader = dict(batch_size=batch, sampler=dict(batch_size=batch))
model = dict(
    type='SATLocalizer',
    num_classes=201,
    backbone=dict(
        type='SpatialTokenViT',
        embed_dim=384,
        depth=12,
        num_heads=6,
        img_size=224,
        patch_size=16,
        masked_blocks=3,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    area=0.25,
    test_cfg=dict(box_thr=0.4, crop=224, ten_crop=True),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
max_iters = 720
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys=dict(cls_token=no_decay, loc_token=no_decay, loc_embed=no_decay, pos_embed=no_decay)))
param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=72)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric', box_thr=0.4)
test_evaluator = dict(type='LocalizationMetric', box_thr=0.4, thr_interval=0.001)
