# ClearCLIP, Cityscapes: mIoU 30.0, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clearclip.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(names='cityscapes', test_cfg=dict(crop_px=224, stride_px=224))
