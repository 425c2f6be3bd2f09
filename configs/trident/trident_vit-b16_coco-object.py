# Trident, COCO-Object: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(
    names='coco_object',
    background='stuff_short',
    refine=dict(coarse_thr=0.25),
    test_cfg=dict(prob_thr=0.25))
