# ProxyCLIP, ADE20K: mIoU 20.2, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(names='ade20k', test_cfg=dict(short_side_px=448))
