# ClearCLIP, COCO-Object: mIoU 33.0, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clearclip.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_object', background='word', test_cfg=dict(prob_thr=0.4))
