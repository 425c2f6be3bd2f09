# CLIP, Context59: no published figure.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59')
