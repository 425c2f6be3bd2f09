# SCLIP, COCO-Stuff: mIoU 22.77, the repository's table.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff', test_cfg=dict(short_side_px=448))
