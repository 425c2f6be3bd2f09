# NACLIP, COCO-Stuff: mIoU 25.69, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/naclip.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff')
