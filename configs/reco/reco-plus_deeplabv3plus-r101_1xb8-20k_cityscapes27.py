# ReCo+, Cityscapes, 27 classes: mIoU 24.2, accuracy 83.7 (repository). Trains on the masks that ReCo made (README.md).
_base_ = [
    '../_base_/models/deeplabv3plus_r101-d16.py', '../_base_/datasets/cityscapes27_masks.py',
    '../_base_/schedules/schedule_sgd_poly_20k.py', '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(norm_cfg=dict(type='SyncBN', requires_grad=True, momentum=0.01)),
    decode_head=dict(num_classes=_base_.num_classes),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-4, weight_decay=2e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
param_scheduler = [dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=0, end=20000, by_epoch=False)]
