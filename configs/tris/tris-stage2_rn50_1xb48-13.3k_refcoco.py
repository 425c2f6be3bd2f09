# TRIS, stage 2, RefCOCO val: mIoU 31.2, recalled from the paper. Trains on masks that refer-label wrote (README.md).
_base_ = [
    '../_base_/models/tris_rn50.py', '../_base_/datasets/refcoco.py', '../_base_/schedules/tris.py',
    '../_base_/default_runtime.py'
]
folder = 'work_dirs/tris_rn50_1xb48-13.3k_refcoco/refer'
model = dict(
    _delete_=True,
    type='TRISSegmentor',
    clip=_base_.model['clip'],
    num_tokens=20,
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
