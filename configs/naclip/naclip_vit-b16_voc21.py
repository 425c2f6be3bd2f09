# NACLIP, VOC21: mIoU 64.07, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/naclip.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20_expanded', background='stuff', test_cfg=dict(prob_thr=0.1, crop_px=0))
