# SCLIP, Context59: mIoU 34.46, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59')
