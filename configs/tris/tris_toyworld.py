# TRIS, stage 1, on ToyWorld, from the tiny CLIP, which also judges; without published figure.
_base_ = [
    '../_base_/models/tris_rn50.py', '../_base_/datasets/toyworld_referring.py', '../_base_/schedules/tris.py',
    '../_base_/default_runtime.py'
]
tiny = dict(name='toyworld_clip', pretrained='toyworld')
model = dict(
    clip=dict(attention='vanilla', **tiny),
    judge=tiny,
    head=dict(channels=64),
    judge_px=128,
    # ours: a batch has many images of what another's sentence says, since there are seven classes
    target='image',
    data_preprocessor=dict(size=_base_.crop_size))
max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
lift = dict(baseline='tris/clip-refer_toyworld.py', measure='refer_mIoU', expected=38.1)  # measured, seed 0
