# ProxyCLIP, Cityscapes: mIoU 38.1, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(names='cityscapes', test_cfg=dict(short_side_px=448, crop_px=224))
