# DenseCaSED, Pascal VOC, 20 classes and what is none of them. The paper's figures were not read.
_base_ = [
    '../_base_/models/cased.py', '../_base_/datasets/open_vocab/voc21.py', '../_base_/default_runtime.py'
]
test_evaluator = dict(
    _delete_=True, type='VocabularyFreeIoU', names='voc20', background='word', encoder=_base_.model['clip'])
