# MaskCLIP+ on ToyWorld: the small network of docs/lift.md learns from the tiny CLIP, from images and names alone.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_images.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py'
]
segmentor = _base_.model
segmentor.update(decode_head=dict(channels=None))  # as long as a text vector
max_iters = 1000
model = dict(
    _delete_=True,
    type='MaskCLIPPlus',
    clip=dict(
        type='OpenCLIP',
        name='toyworld_clip',
        pretrained='toyworld',
        attention='value',
        positions='size',
        templates='maskclip'),
    names='toyworld',
    background='toyworld',
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size),
    segmentor=segmentor)
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters)
lift = dict(baseline='maskclip/maskclip_toyworld.py', measure='mIoU', expected=0.0)  # measured, seed 0
