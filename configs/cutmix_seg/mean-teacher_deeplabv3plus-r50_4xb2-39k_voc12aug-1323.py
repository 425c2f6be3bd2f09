# Mean Teacher of TorchSemiSeg, VOC 2012 1/8: 34 epochs of 1157 iterations; MSE of weight 100 between the
# softmax maps.
_base_ = [
    '../_base_/models/cps_r50-d16.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (512, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoice',
        transforms=[[dict(type='RandomRescale', ratio_range=(s, s))]
                    for s in (0.5, 0.75, 1.0, 1.5, 1.75, 2.0)]),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-2:]
]
lists = _base_.splits + '/1_8/'
labeled = dict(list_file=lists + 'labeled.txt', pipeline=train_pipeline)
unlabeled = dict(list_file=lists + 'unlabeled.txt', pipeline=train_pipeline)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=labeled, unlabeled=unlabeled))
max_iters = 39338
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1157)
segmentor = dict(
    _base_.model,
    decode_head=dict(_base_.model['decode_head'], num_classes=21),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=segmentor,
    mix='none',
    view=None,
    on_labeled=True,
    update_inside=True,
    teacher=dict(momentum=0.01, buffers='leave', mode='train'),
    consistency=dict(type='ConsistencyLoss', kind='mse', loss_weight=100.0),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size))
