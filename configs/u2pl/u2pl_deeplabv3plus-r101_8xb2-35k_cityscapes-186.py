# U2PL, Cityscapes 1/16 (186 masks): 200 epochs of 175 iterations, 16 + 16 images on eight GPUs, OHEM, no
# supervised epoch.
_base_ = [
    '../_base_/models/u2pl_r101-d8.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (769, 769)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
pipeline = dict(pipeline=train_pipeline)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 35000
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=875)
segmentor = dict(
    _base_.model,
    decode_head=dict(
        _base_.model['decode_head'],
        num_classes=19,
        loss_decode=dict(type='ProbOhemCrossEntropyLoss', thresh=0.7, min_kept=100000)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=1024,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        num_classes=19,
        norm_cfg=_base_.model['decode_head']['norm_cfg'],
        align_corners=True,
        loss_decode=dict(type='ProbOhemCrossEntropyLoss', thresh=0.7, min_kept=100000, loss_weight=0.4)),
    test_cfg=dict(mode='slide', crop_size=(769, 769), stride=(513, 513)))
model = dict(
    _delete_=True,
    type='U2PL',
    segmentor=segmentor,
    predict_with='teacher',
    sup_only_epochs=0,
    unsup=dict(type='EntropyFilteredCE', percent=80),
    contrast=dict(loss_weight=0.125),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size))
