# MARS on ToyWorld, on the debiased pseudo masks of plain CAM. Features are the tiny ViT's, not the paper's USS (STEGO).
# Train cam/cam_toyworld.py, label its images and debias them first (README.md).
_base_ = './supervised-pseudo_toyworld.py'
debiased = 'work_dirs/cam_toyworld/debiased'
debias = dict(
    extractor=dict(
        backbone=dict(
            type='TimmViT', model_name='toyworld_vit', out_indices=(5, ), checkpoint='mmseg_weak://toyworld_vit.pth'),
        multiple=8),
    ratio=0.4,
    clusters=2,
    background_clusters=2,
    centre=True,
    crf=dict(type='DenseCRF', preset='deeplab'))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadDebiasedMask'),
    dict(type='RandomRescale', ratio_range=(0.8, 1.25)),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(
    dataset=dict(dataset=dict(type='DebiasedLabelDataset', folder=debiased, pipeline=train_pipeline)))
segmentor = {key: value for key, value in _base_.model.items() if key != 'data_preprocessor'}
model = dict(
    _delete_=True,
    type='MARS',
    segmentor=segmentor,
    teacher=dict(momentum=0.01, warmup='inverse'),
    limit_to_tags=True,  # ours, as is leaving out the CRF here: crops of 64 pixels
    data_preprocessor=_base_.model['data_preprocessor'])
custom_hooks = [dict(type='EMATeacherHook')]
needs = dict(
    steps=[['pseudo-label', '{config}', '{checkpoint}', '--out', '{folder}/pseudo', '--thr', 'consistency'],
           ['debias', '{folder}/pseudo', '--config', 'mars_toyworld', '--out', '{folder}/debiased']],
    options={'train_dataloader.dataset.dataset.folder': '{folder}/debiased'})
lift = dict(baseline='mars/supervised-pseudo_toyworld.py', measure='mIoU', expected=10.4)  # measured, seed 0
