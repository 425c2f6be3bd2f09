# CLIP, VOC21: no published figure.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20', background='word', test_cfg=dict(prob_thr=0.2))
