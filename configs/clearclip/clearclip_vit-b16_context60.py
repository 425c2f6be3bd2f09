# ClearCLIP, Context60: mIoU 32.6, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clearclip.py', '../_base_/datasets/open_vocab/context60.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59', background='word', test_cfg=dict(prob_thr=0.15))
