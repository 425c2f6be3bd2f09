# SCLIP, COCO-Object: mIoU 33.52, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_object_expanded', background='stuff', test_cfg=dict(prob_thr=0.1, scale=50.0))
