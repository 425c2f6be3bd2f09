# UniMatch on ToyWorld, 32 masks and 600 plain images.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi_partner.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatch',
    segmentor=_base_.model,
    conf_thr=0.95,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
lift = dict(baseline='supervised/supervised_toyworld.py', measure='mIoU', expected=-1.5)  # measured, seeds 0, 1, 2
