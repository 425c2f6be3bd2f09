# TRIS, stage 2, on ToyWorld, on masks of stage 1 that do not walk: IRNet has no pretrained backbone there. Train
# tris_toyworld.py and label its objects first (README.md).
_base_ = [
    '../_base_/models/tris_rn50.py', '../_base_/datasets/toyworld_referring.py', '../_base_/schedules/tris.py',
    '../_base_/default_runtime.py'
]
folder = 'work_dirs/tris_toyworld/refer'
model = dict(
    _delete_=True,
    type='TRISSegmentor',
    clip=dict(_base_.model['clip'], name='toyworld_clip', pretrained='toyworld', attention='vanilla'),
    channels=(16, 16, 32, 64),
    data_preprocessor=dict(_base_.preprocessor, size=_base_.crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadReferredMask'),
    dict(type='Resize', scale=_base_.crop_size, keep_ratio=False),
    dict(type='PackReferring')
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='ReferringDataset',
            objects=f'{folder}/objects.json',
            masks=folder,
            with_masks=True,
            pipeline=train_pipeline)))
max_iters = 600
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
needs = dict(
    teacher='tris/tris_toyworld.py',
    steps=[['refer-label', '{config}', '{checkpoint}', '--out', '{folder}/refer', '--no-crf']],
    options={
        'train_dataloader.dataset.dataset.objects': '{folder}/refer/objects.json',
        'train_dataloader.dataset.dataset.masks': '{folder}/refer'
    })
lift = dict(baseline='tris/tris_toyworld.py', measure='refer_mIoU', expected=7.9)  # measured, seed 0
