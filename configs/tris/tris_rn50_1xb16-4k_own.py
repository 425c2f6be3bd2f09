# TRIS, stage 1, on sentences of your own (configs/_base_/datasets/referring.py). Without masks: val_cfg=None
# val_dataloader=None val_evaluator=None.
_base_ = [
    '../_base_/models/tris_rn50.py', '../_base_/datasets/referring.py', '../_base_/schedules/tris.py',
    '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
max_iters = 4000
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
