# USAGE (an interpretation) on VOC 2012 train_aug, ResNet-38d in SEAM's setting, on which the paper says it builds.
_base_ = '../seam/seam_resnet38d_1xb8-10.6k_voc12aug.py'
model = dict(
    _delete_=True,
    type='USAGE',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=4096,
    tau=4.0,
    drop_layers=('b3_2', 'b4_5', 'b5_2', 'b7'),
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(classifier=dict(lr_mult=10.0))))
custom_hooks = [dict(type='EMATeacherHook')]
