# MaskCLIP, Context60: no published figure; ours.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/context60.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59', background='word')
