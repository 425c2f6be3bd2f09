# CPS with CutMix, Cityscapes 1/16 (186 masks): 128 epochs of 348 iterations, OHEM, 8 + 8 + 8 images on eight
# GPUs.
_base_ = [
    '../_base_/models/cps_r50-d16.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
crop_size = (800, 800)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoice',
        transforms=[[dict(type='RandomRescale', ratio_range=(s, s))]
                    for s in (0.5, 0.75, 1.0, 1.5, 1.75, 2.0)]),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-2:]
]
pipeline = dict(pipeline=train_pipeline)
batch = 3
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 44544
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1392)
segmentor = dict(
    _base_.model,
    decode_head=dict(
        _base_.model['decode_head'],
        num_classes=19,
        loss_decode=dict(type='ProbOhemCrossEntropyLoss', thresh=0.7, min_kept=50000)),
    test_cfg=dict(mode='slide', crop_size=(800, 800), stride=(533, 533)))
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    segmentor=segmentor,
    mix='cutmix',
    cps_weight=5.0,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        partner=True))
