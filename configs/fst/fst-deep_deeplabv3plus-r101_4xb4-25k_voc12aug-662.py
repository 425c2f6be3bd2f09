# FST-D in its semi-supervised form, VOC 2012 1/16 (662 masks), mean teacher without mixing, U2PL's list: 40
# epochs of 620 iterations.
_base_ = [
    '../_base_/models/u2pl_r101-d8.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (513, 513)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
lists = _base_.splits + '/u2pl_1_16/'
labeled = dict(list_file=lists + 'labeled.txt', pipeline=train_pipeline)
unlabeled = dict(list_file=lists + 'unlabeled.txt', pipeline=train_pipeline)
batch = 8
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=labeled, unlabeled=unlabeled))
max_iters = 24800
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=620)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=21))
model = dict(
    _delete_=True,
    type='FutureSelfTraining',
    segmentor=segmentor,
    mode='deep',
    steps=3,
    method=dict(type='EntropySelfTraining', mix='none', unsup=dict(type='EntropyFilteredCE', percent=80)),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size))
