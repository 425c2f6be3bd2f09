# ProxyCLIP, VOC20: mIoU 80.3, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/voc20.py',
    '../_base_/default_runtime.py'
]
model = dict(names='voc20')
