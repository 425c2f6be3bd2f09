# U2PL on ToyWorld, 32 masks and 600 plain images; ranks and bank for 8 classes instead of 21.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
model = dict(
    _delete_=True,
    type='U2PL',
    segmentor=_base_.model,
    rep_channels=32,
    contrast=dict(high_rank=8, bank_size=2000),
    predict_with='teacher',
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=-4.1)  # measured, seeds 0, 1, 2
