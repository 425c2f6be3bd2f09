# Trident, Cityscapes: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(
    names='cityscapes',
    cos_factor=3.0,
    keep_negative=False,
    halves=True,
    refine=dict(coarse_thr=0.1),
    test_cfg=dict(short_side_px=688))
