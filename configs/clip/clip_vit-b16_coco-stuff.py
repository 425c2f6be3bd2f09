# CLIP, COCO-Stuff: no published figure.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/coco_stuff.py',
    '../_base_/default_runtime.py'
]
model = dict(names='coco_stuff')
