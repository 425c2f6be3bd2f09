# Mean Teacher in its segmentation form (TorchSemiSeg) on ToyWorld: no mixing, no strong view, MSE with weight
# 100.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
    mix='none',
    view=None,
    on_labeled=True,
    update_inside=True,
    teacher=dict(momentum=0.01, buffers='leave', mode='train'),
    consistency=dict(type='ConsistencyLoss', kind='mse', loss_weight=100.0),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=-1.4)  # measured, seed 0
