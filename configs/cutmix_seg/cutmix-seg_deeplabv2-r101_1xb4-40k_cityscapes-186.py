# CutMix-Seg, Cityscapes at half size, crop 256x512, batch 4. The paper's counts are 100, 372 and 744 masks;
# 40 x 1000 iterations as on VOC.
_base_ = [
    '../_base_/models/deeplabv2_r101-d8.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
crop_size = (256, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='Resize', scale=(1024, 512), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-2:]
]
pipeline = dict(pipeline=train_pipeline)
# Images are halved for testing too; the masks are not, so predictions are compared at full size.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(1024, 512), keep_ratio=True),
    *_base_.test_pipeline[1:]
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
batch = 12
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))
max_iters = 40000
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-5),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=19))
view = dict(type='PhotometricView', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_prob=0.0)
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=segmentor,
    mix='cutmix',
    predict_with='teacher',
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        partner=True,
        views=dict(strong1=view)))
