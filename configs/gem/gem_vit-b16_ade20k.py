# GEM, ADE20K: ours: the paper has no such figure.
_base_ = [
    '../_base_/models/open_vocab/gem.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(names='ade20k')
