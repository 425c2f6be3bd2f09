# TRIS, stage 1, RefCOCO.
_base_ = [
    '../_base_/models/tris_rn50.py', '../_base_/datasets/refcoco.py', '../_base_/schedules/tris.py',
    '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
