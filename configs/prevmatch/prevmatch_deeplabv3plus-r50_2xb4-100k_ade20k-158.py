# PrevMatch, ADE20K 1/128 (158 masks): 40 epochs of 2507 iterations, nothing is remembered before epoch 5.
_base_ = [
    '../_base_/models/deeplabv3plus_r50-d16.py', '../_base_/datasets/ade20k_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='PreviousModelHook', base_only_epoch=5)]
crop_size = (513, 513)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
pipeline = dict(pipeline=train_pipeline)
# Whole images at their own size, as the UniMatch family tests.
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'Resize']
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
batch = 12
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 100280
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.004, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=2507)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=150))
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='PrevMatch',
    segmentor=segmentor,
    conf_thr=0.95,
    conf_thr_prev=0.9,
    max_prev=5,
    model_num=3,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
