# AffinityNet as published (card `irn`, train_aff.py): VOC12 train_aug, 8 epochs of 10582 images, crop 448, on the seeds
# of a ResNet-38 CAM; README.md has the commands. SEAM trains it with the same recipe on its own maps: take
# model.cam from configs/seam/ for that.
_base_ = ['../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']
crop_size = (448, 448)
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/ilsvrc-cls_rna-a1_cls1000_ep-0001.params'
seeds = 'work_dirs/seam_resnet38d_1xb8-10.6k_voc12aug/seeds'
model = dict(
    type='AffinityNet',
    num_classes=_base_.num_classes,
    backbone=dict(type='ResNet38d', checkpoint=weights),
    head=dict(in_channels=(512, 1024, 4096), channels=(64, 128, 256)),
    cam=dict(
        type='SEAM',
        backbone=dict(type='ResNet38d'),
        in_channels=4096,
        seed=dict(scales=(0.5, 1.0, 1.5, 2.0), rounding='round')),
    cam_checkpoint='work_dirs/seam_resnet38d_1xb8-10.6k_voc12aug/iter_10582.pth',
    seed_source='masks',
    walk=dict(beta=8, exp_times=8),
    seed=dict(background='power', thr=16),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PhotoMetricDistortion', brightness_delta=32, contrast_range=(0.7, 1.3), saturation_range=(0.7, 1.3),
         hue_delta=18),
    dict(type='PackSemiInputs')
]
batch = 8
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(dataset=dict(_delete_=True, type='PseudoLabelDataset', folder=seeds, pipeline=train_pipeline)))
max_iters = 10582
# SGD without momentum: the authors' PolyOptimizer hands its weight decay to SGD in the place of the momentum
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=5e-4, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
