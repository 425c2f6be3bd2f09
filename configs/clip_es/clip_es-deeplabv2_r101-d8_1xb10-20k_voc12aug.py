# DeepLabV2 with ResNet-101 on the masks of CLIP-ES, VOC 2012 train_aug (CVPR 2023, second stage): 71.1 mIoU on val. The
# confidence-guided loss is cross-entropy without the pixels that `pseudo-label --conf-thr 0.95` wrote as 255.
# The schedule is DeepLabV2's usual one; README.md has the commands.
_base_ = [
    '../_base_/models/deeplabv2_r101-d8.py', '../_base_/datasets/voc12_tags.py',
    '../_base_/schedules/schedule_sgd_poly_20k.py', '../_base_/default_runtime.py'
]
crop_size = (321, 321)
pseudo = 'work_dirs/clip_es_vit-b16_voc12aug/pseudo'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 10
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(dataset=dict(_delete_=True, type='PseudoLabelDataset', folder=pseudo, pipeline=train_pipeline)))
model = dict(data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size))
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
