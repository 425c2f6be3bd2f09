# Trident, ADE20K: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(
    names='ade20k', keep_negative=False, refine=dict(coarse_thr=0.05), test_cfg=dict(short_side_px=576))
