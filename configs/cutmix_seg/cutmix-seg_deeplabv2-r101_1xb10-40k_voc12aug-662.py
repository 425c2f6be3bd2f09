# CutMix-Seg, VOC 2012: DeepLabV2 ResNet-101 with frozen BatchNorm, Adam, batch 10, 40 x 1000 iterations. The
# paper's own counts are 106, 212, 529 and 1323 masks; here the list of 662. mmseg's ASPPHead concatenates
# where DeepLabV2 sums.
_base_ = [
    '../_base_/models/deeplabv2_r101-d8.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
batch = 30
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'))
max_iters = 40000
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=3e-5),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=21))
view = dict(type='PhotometricView', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_prob=0.0)
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=segmentor,
    mix='cutmix',
    predict_with='teacher',
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view)))
