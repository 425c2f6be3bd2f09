# PPL, progressive, an interpretation (card `ppl`), on coco_mini with the backbone and schedule of plain CAM
# (cam/cam_mobilenetv2_1xb8-300_coco-mini.py).
_base_ = '../cam/cam_mobilenetv2_1xb8-300_coco-mini.py'
model = dict(
    _delete_=True,
    type='PatchLearningClassifier',
    num_classes=_base_.num_classes,
    backbone=_base_.model['backbone'],
    in_channels=320,
    blocks=('layer5', 'layer6', 'layer7'),
    mode='progressive',
    grid=2,
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
