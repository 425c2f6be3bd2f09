# SCLIP, Context60: mIoU 31.74, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/context60.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59', background='word', test_cfg=dict(prob_thr=0.1, scale=50.0))
