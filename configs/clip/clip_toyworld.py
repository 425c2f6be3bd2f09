# CLIP with the tiny CLIP on ToyWorld: the baseline of open-vocabulary rows of docs/lift.md.
_base_ = [
    '../_base_/models/open_vocab/clip.py', '../_base_/datasets/open_vocab/toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    names='toyworld',
    background='toyworld',
    test_cfg=dict(short_side_px=128, crop_px=0, multiple_px=8))
