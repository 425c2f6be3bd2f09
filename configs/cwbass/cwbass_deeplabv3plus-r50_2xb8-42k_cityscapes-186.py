# CW-BASS, Cityscapes (186 masks; the paper has 1/30 and 1/4): 240 epochs of 175 iterations, batch 16 + 16,
# crop 721.
_base_ = [
    '../_base_/models/deeplabv3plus_r50-d16.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (721, 721)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
pipeline = dict(pipeline=train_pipeline)
batch = 16
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 42000
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.004, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1750)
segmentor = dict(
    _base_.model,
    decode_head=dict(_base_.model['decode_head'], num_classes=19, dilations=(1, 12, 24, 36)))
model = dict(
    _delete_=True,
    type='CWBASS',
    segmentor=segmentor,
    warmup_epochs=5,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size))
