# ClearCLIP, VOC21: mIoU 51.8, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clearclip.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20', background='word', test_cfg=dict(prob_thr=0.5))
