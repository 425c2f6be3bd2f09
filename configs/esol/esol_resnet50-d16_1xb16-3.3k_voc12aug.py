# ESOL, an interpretation (card `esol`): VOC12 train_aug with the recipe of plain CAM; the paper's is not published in
# what was read.
_base_ = '../cam/cam_resnet50-d16_1xb16-3.3k_voc12aug.py'
model = dict(
    _delete_=True,
    type='ESOLClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=2048,
    channels=512,  # ours
    clip=0.5,  # ours
    exp_weight=0.01,
    area_weight=0.1,  # ours
    max_offset=2.0,  # ours
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'head': dict(lr_mult=10.0),
            'expand.weight': dict(lr_mult=10.0),
            'shrink.weight': dict(lr_mult=10.0),
            'offset': dict(lr_mult=0.1)  # ours
        }))
