# ProxyCLIP, VOC21: mIoU 61.3, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/voc21.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20', background='stuff', test_cfg=dict(prob_thr=0.2))
