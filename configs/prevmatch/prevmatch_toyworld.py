# PrevMatch on ToyWorld, 32 masks and 600 plain images; a validation an epoch of 150 iterations feeds its list.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi_partner.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='PreviousModelHook')]
train_cfg = dict(val_interval=150)
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='PrevMatch',
    segmentor=_base_.model,
    conf_thr=0.95,
    conf_thr_prev=0.9,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=0.7)  # measured, seed 0
