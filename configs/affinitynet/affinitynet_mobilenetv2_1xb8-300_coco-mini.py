# AffinityNet on coco_mini, on the seed files that IRNet takes (configs/irn/README.md).
_base_ = '../irn/irn_mobilenetv2_1xb8-300_coco-mini.py'
model = dict(
    _delete_=True,
    type='AffinityNet',
    num_classes=_base_.num_classes,
    backbone=dict(_base_.model['cam']['backbone'], out_indices=(2, 4, 6)),
    head=dict(in_channels=(32, 96, 320), channels=(32, 64, 128)),
    cam=_base_.model['cam'],
    cam_checkpoint=_base_.model['cam_checkpoint'],
    seed_source='masks',
    data_preprocessor=_base_.model['data_preprocessor'])
optim_wrapper = dict(optimizer=dict(lr=1e-4))
