# NACLIP, VOC20: mIoU 83.03, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/naclip.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20_expanded', test_cfg=dict(crop_px=0))
