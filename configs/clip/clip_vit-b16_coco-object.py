# CLIP, COCO-Object: no published figure.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_object', background='word', test_cfg=dict(prob_thr=0.2))
