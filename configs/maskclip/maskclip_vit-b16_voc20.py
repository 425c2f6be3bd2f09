# MaskCLIP, VOC20: mIoU 49.5, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20')
