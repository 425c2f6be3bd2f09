# NACLIP, Context59: mIoU 38.35, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/naclip.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59')
