# CLIP-DINOiser, Cityscapes: mIoU 31.7, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/cityscapes.py',
    '../_base_/default_runtime.py'
]
model = dict(names='cityscapes_spaced')
