# CLIP-DINOiser, ADE20K: mIoU 20.0, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/ade20k.py',
    '../_base_/default_runtime.py'
]
model = dict(names='ade20k_spaced')
