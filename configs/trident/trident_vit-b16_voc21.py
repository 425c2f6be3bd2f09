# Trident, VOC21: settings of the official config; its figure was not read.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20', background='stuff', test_cfg=dict(prob_thr=0.2))
