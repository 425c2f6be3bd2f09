# GEM, VOC20: ours: the paper has no such figure.
_base_ = [
    '../_base_/models/open_vocab/gem.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20')
