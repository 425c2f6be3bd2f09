# ProxyCLIP, COCO-Object: mIoU 37.5, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_object', background='stuff_short', test_cfg=dict(prob_thr=0.25))
