# CLIP, Cityscapes: no published figure.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(names='cityscapes', test_cfg=dict(crop_px=224, stride_px=224))
