# Between TRIS's stages: IRNet on the seeds that refer-label wrote of stage 1; 3 epochs of RefCOCO's objects, crop 512.
_base_ = ['../_base_/datasets/refcoco.py', '../_base_/default_runtime.py']
folder = 'work_dirs/tris_rn50_1xb48-13.3k_refcoco/refer'
crop_size = (512, 512)
model = dict(
    type='TRISWalk',
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3, ),
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    heads=dict(in_channels=(64, 256, 512, 1024, 2048), strides=(4, 4, 8, 16, 16)),
    radius=10,
    walk=dict(beta=10, exp_times=8, radius=5),
    thr=0.25,
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadReferredMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackReferring')
]
batch = 32
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='ReferringDataset',
            objects=f'{folder}/seeds.json',
            masks=folder,
            with_masks=True,
            pipeline=train_pipeline)))
max_iters = 3975
# SGD without momentum: IRNet's PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(displace=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters + 1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
