# ProxyCLIP, COCO-Stuff: mIoU 26.5, the paper's, recalled.
_base_ = [
    '../_base_/models/open_vocab/proxyclip.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff')
