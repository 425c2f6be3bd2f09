# MaskCLIP+ with CLIP RN50, annotation-free, Pascal Context 59: mIoU 23.9, the repository's table.
_base_ = [
    '../_base_/models/maskclip-plus_deeplabv2-r101.py', '../_base_/datasets/context59_images.py',
    '../_base_/schedules/schedule_sgd_poly_20k.py', '../_base_/default_runtime.py'
]
max_iters = 4000
model = dict(
    names='context59',
    data_preprocessor=dict(size=_base_.crop_size),
    segmentor=dict(decode_head=dict(num_classes=_base_.num_classes)))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=2000)
