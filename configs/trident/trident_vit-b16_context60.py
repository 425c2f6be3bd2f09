# Trident, Context60: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/context60.py',
    '../_base_/default_runtime.py'
]
model = dict(
    names='context59',
    background='word',
    refine=dict(coarse_thr=0.15),
    test_cfg=dict(short_side_px=576, prob_thr=0.15))
