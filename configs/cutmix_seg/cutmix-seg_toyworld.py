# CutMix-Seg on ToyWorld, 32 masks and 600 plain images; colour jitter and greyscale as its command line has
# them.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi_partner.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
model = dict(
    _delete_=True,
    type='MeanTeacher',
    segmentor=_base_.model,
    mix='cutmix',
    predict_with='teacher',
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=_base_.crop_size, partner=True,
        views=dict(strong1=dict(type='PhotometricView', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1,
                                blur_prob=0.0))))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=1.2)  # measured, seed 0
