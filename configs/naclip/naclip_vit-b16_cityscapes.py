# NACLIP, Cityscapes: mIoU 38.27, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/naclip.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(names='cityscapes', test_cfg=dict(short_side_px=560))
