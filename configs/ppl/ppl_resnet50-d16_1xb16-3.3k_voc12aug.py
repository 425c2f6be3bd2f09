# PPL, progressive, an interpretation (card `ppl`): VOC12 train_aug with the recipe of plain CAM; the paper's is not
# published in what was read.
_base_ = '../cam/cam_resnet50-d16_1xb16-3.3k_voc12aug.py'
model = dict(
    _delete_=True,
    type='PatchLearningClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=2048,
    blocks=('layer2', 'layer3', 'layer4'),
    mode='progressive',
    grid=2,
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
