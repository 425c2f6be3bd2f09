# UniMatch V2, Cityscapes 1/16 (186 masks), DINOv2-B: 180 epochs of 349 iterations, crop 798, batch 8 + 8.
# The release shifts the last window and sums softmax; mmseg sums logits.
_base_ = [
    '../_base_/models/dpt_dinov2-b.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (798, 798)
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
batch = 4
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 62820
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-06, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=40.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1745)
segmentor = dict(
    _base_.model,
    decode_head=dict(
        _base_.model['decode_head'],
        num_classes=19,
        loss_decode=dict(type='ProbOhemCrossEntropyLoss', thresh=0.7, min_kept=200000)),
    test_cfg=dict(mode='slide', crop_size=(798, 798), stride=(532, 532)))
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
