# ESOL, an interpretation (card `esol`), on ToyWorld, 600 images with tags, from scratch, on the network of plain CAM.
_base_ = '../cam/cam_toyworld.py'
model = dict(
    _delete_=True,
    type='ESOLClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=128,
    channels=64,
    clip=0.5,
    exp_weight=0.01,
    area_weight=0.1,
    max_offset=2.0,
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(offset=dict(lr_mult=0.1))))
lift = dict(baseline='cam/cam_toyworld.py', measure='seed_mIoU', expected=-16.1)  # measured, seed 0
