# MaskCLIP, COCO-Stuff: mIoU 12.5, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff')
