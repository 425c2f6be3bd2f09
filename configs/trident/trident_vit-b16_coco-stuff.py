# Trident, COCO-Stuff: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff', refine=dict(coarse_thr=0.05))
