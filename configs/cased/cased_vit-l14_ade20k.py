# DenseCaSED, ADE20K, 150 classes and what is none of them. The paper's figures were not read.
_base_ = [
    '../_base_/models/cased.py', '../_base_/datasets/open_vocab/ade20k.py', '../_base_/default_runtime.py'
]
test_evaluator = dict(
    _delete_=True, type='VocabularyFreeIoU', names='ade20k', background_index=None, encoder=_base_.model['clip'])
