# CLIP-DINOiser, VOC20: mIoU 80.9, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20_spaced')
