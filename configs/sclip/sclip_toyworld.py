# SCLIP with the tiny CLIP on ToyWorld: whole images at their own size; without published figure.
_base_ = [
    '../_base_/models/open_vocab/sclip.py', '../_base_/datasets/open_vocab/toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    names='toyworld',
    background='toyworld',
    test_cfg=dict(short_side_px=128, crop_px=0))
lift = dict(baseline='clip/clip_toyworld.py', measure='mIoU', expected=9.2)  # measured, seed 0
