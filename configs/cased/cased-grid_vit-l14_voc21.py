# CaSED on a grid of 3 x 3 patches, Pascal VOC. The paper's figures were not read.
_base_ = [
    '../_base_/models/cased.py', '../_base_/datasets/open_vocab/voc21.py', '../_base_/default_runtime.py'
]
model = dict(mode='patches', test_cfg=dict(patch_grids=(3, ), image_px=224, min_area_px=1000))
test_evaluator = dict(
    _delete_=True, type='VocabularyFreeIoU', names='voc20', background='word', encoder=_base_.model['clip'])
