# MaskCLIP, Context59: mIoU 21.7, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59')
