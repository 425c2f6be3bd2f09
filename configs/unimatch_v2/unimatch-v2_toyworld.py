# UniMatch V2 on ToyWorld, 32 masks and 600 plain images; channels of CNN features are dropped in place of a
# ViT's.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatchV2',
    segmentor=_base_.model,
    conf_thr=0.95,
    predict_with='teacher',
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=_base_.crop_size, views=dict(strong1=view, strong2=view)))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=3.0)  # measured, seed 0
