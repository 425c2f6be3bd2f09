# CLIP-DINOiser, VOC21: mIoU 62.1, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20_spaced', background='word', clean=True)
