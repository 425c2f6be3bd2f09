# MaskCLIP, ADE20K: no published figure; ours.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(names='ade20k')
