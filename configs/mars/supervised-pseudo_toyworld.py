# A plain segmentor on the pseudo masks of plain CAM, as they are: the baseline of MARS in docs/lift.md. Train
# cam/cam_toyworld.py and label its images first (README.md).
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld.py', '../_base_/schedules/schedule_toyworld.py',
    '../_base_/default_runtime.py'
]
pseudo = 'work_dirs/cam_toyworld/pseudo'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.8, 1.25)),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, type='PseudoLabelDataset', folder=pseudo, pipeline=train_pipeline)))
model = dict(
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
needs = dict(
    teacher='cam/cam_toyworld.py',
    steps=[['pseudo-label', '{config}', '{checkpoint}', '--out', '{folder}/pseudo', '--thr', 'consistency']],
    options={'train_dataloader.dataset.dataset.folder': '{folder}/pseudo'})
