# Second stage on coco_mini: the masks that `mmseg-weak pseudo-label` wrote to `folder` train a narrow DeepLabV3+ head.
# --cfg-options train_dataloader.dataset.dataset.folder=DIR names another folder.
_base_ = [
    '../_base_/models/mobilenetv2_light.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/mobilenetv2_1.0_imagenet_mmseg.pth'
model = dict(
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=weights)))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True, type='PseudoLabelDataset', folder='work_dirs/coco_mini/pseudo', pipeline=train_pipeline)))
max_iters = 500
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
