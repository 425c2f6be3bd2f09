# CLIP-DINOiser, COCO-Object: mIoU 34.8, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/coco_object.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_object', background='word', clean=True)
