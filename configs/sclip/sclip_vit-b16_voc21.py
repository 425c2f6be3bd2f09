# SCLIP, VOC21: mIoU 59.63, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20_expanded', background='stuff', test_cfg=dict(prob_thr=0.1, scale=65.0, area_thr=0.1))
