# PPL, progressive, an interpretation (card `ppl`), on ToyWorld, 600 images with tags, from scratch, on the network of
# plain CAM.
_base_ = '../cam/cam_toyworld.py'
model = dict(
    _delete_=True,
    type='PatchLearningClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=128,
    blocks=('layer2', 'layer3', 'layer4'),
    mode='progressive',
    grid=2,
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
lift = dict(baseline='cam/cam_toyworld.py', measure='seed_mIoU', expected=0.5)  # measured, seed 0
