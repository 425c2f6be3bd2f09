# UniMatch V2, VOC 2012 1/16 (662 masks), DINOv2-B: 60 epochs of 620 iterations, batch 16 + 16 on four GPUs.
_base_ = [
    '../_base_/models/dpt_dinov2-b.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (518, 518)
train_pipeline = [
    dict(step, crop_size=crop_size) if step['type'] == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
pipeline = dict(pipeline=train_pipeline)
# Test images are enlarged to the next multiple of the patch (the release takes the nearest one).
test_pipeline = [
    _base_.test_pipeline[0], dict(type='ResizeToMultiple', size_divisor=14), *_base_.test_pipeline[1:]
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
batch = 8
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 37200
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-06, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=40.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=930)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=21))
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatchV2',
    segmentor=segmentor,
    conf_thr=0.95,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        views=dict(strong1=view, strong2=view)))
