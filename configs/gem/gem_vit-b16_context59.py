# GEM, Context59: ours: the paper has no such figure.
_base_ = [
    '../_base_/models/open_vocab/gem.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59')
