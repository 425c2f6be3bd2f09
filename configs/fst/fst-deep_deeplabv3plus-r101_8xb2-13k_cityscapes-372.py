# FST-D, Cityscapes 1/8 (372 masks): 80 epochs of 163 iterations, OHEM with an auxiliary head.
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
lists = _base_.splits + '/1_8/'
labeled = dict(list_file=lists + 'labeled.txt', pipeline=train_pipeline)
unlabeled = dict(list_file=lists + 'unlabeled.txt', pipeline=train_pipeline)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=labeled, unlabeled=unlabeled))
max_iters = 13040
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=326)
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
    type='FutureSelfTraining',
    segmentor=segmentor,
    mode='deep',
    steps=3,
    method=dict(type='EntropySelfTraining', mix='none', unsup=dict(type='EntropyFilteredCE', percent=100)),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size))
