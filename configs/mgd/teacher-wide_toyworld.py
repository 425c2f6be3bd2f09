# The wide teacher of mgd_toyworld.py, trained by CPS with CutMix as the paper's are.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi_partner.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
segmentor = dict(
    _base_.model,
    backbone=dict(_base_.model['backbone'], base_channels=32),
    decode_head=dict(_base_.model['decode_head'], in_channels=32))
model = dict(
    _delete_=True,
    type='CrossPseudoSupervision',
    segmentor=segmentor,
    mix='cutmix',
    cps_weight=1.0,
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size, partner=True))
