# CLIP-DINOiser, COCO-Stuff: mIoU 24.6, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff_spaced')
