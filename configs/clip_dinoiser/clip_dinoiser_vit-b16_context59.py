# CLIP-DINOiser, Context59: mIoU 35.9, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/context59.py',
    '../_base_/default_runtime.py'
]
model = dict(names='context59_spaced')
