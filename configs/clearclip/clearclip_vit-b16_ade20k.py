# ClearCLIP, ADE20K: mIoU 16.7, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clearclip.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(names='ade20k')
