# ESOL, an interpretation (card `esol`), on coco_mini with the backbone and schedule of plain CAM
# (cam/cam_mobilenetv2_1xb8-300_coco-mini.py).
_base_ = '../cam/cam_mobilenetv2_1xb8-300_coco-mini.py'
model = dict(
    _delete_=True,
    type='ESOLClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=320,
    clip=0.5,
    exp_weight=0.01,
    area_weight=0.1,
    max_offset=2.0,
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={
        'expand.weight': dict(lr_mult=10.0),
        'shrink.weight': dict(lr_mult=10.0)
    }))
