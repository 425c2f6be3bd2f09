# MGD on ToyWorld: the small ToyWorld network from a deep and a wide teacher, 32 masks and 600 plain images.
# Train the teachers first (mgd/teacher-deep_toyworld.py, mgd/teacher-wide_toyworld.py) and give their
# checkpoints: --cfg-options model.deep_checkpoint=... model.wide_checkpoint=...
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld_semi_partner.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
deep = dict(
    _base_.model,
    backbone=dict(_base_.model['backbone'], enc_num_convs=(3, 4, 4, 4), dec_num_convs=(2, 2, 2)))
wide = dict(
    _base_.model,
    backbone=dict(_base_.model['backbone'], base_channels=32),
    decode_head=dict(_base_.model['decode_head'], in_channels=32))
model = dict(
    _delete_=True,
    type='MultiGranularityDistiller',
    segmentor=_base_.model,
    deep=deep,
    wide=wide,
    deep_checkpoint='work_dirs/teacher-deep_toyworld/iter_3000.pth',
    wide_checkpoint='work_dirs/teacher-wide_toyworld/iter_3000.pth',
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size, partner=True))
lift = dict(
    baseline='supervised/supervised_toyworld.py',
    measure='mIoU',
    expected=None,
    teachers=dict(
        deep_checkpoint='mgd/teacher-deep_toyworld.py', wide_checkpoint='mgd/teacher-wide_toyworld.py'))
