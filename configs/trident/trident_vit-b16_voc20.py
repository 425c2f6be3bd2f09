# Trident, VOC20: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20', cos_factor=0.0, test_cfg=dict(short_side_px=336, stride_px=112))
