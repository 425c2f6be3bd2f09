# ToyWorld, drawn from a seed: `num_labeled` images with masks, 100 for validation, 128x128, crops of 64.
# 32 by default: the same labelled images as in toyworld_semi.py and no others.
dataset_type = 'ToyWorldDataset'
num_classes = 8
crop_size = (64, 64)
num_labeled = 32
train_pipeline = [
    dict(
        type='LoadImageFromFile'
    ),  # ToyWorld draws its images and leaves the loading steps out; exported models keep them
    dict(type='LoadAnnotations'),
    dict(type='RandomRescale', ratio_range=(0.8, 1.25)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
labeled = dict(type=dataset_type, num_images=num_labeled, split='train', pipeline=train_pipeline)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=labeled))
val_dataloader = dict(
    batch_size=20,  # all images are equally large
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, num_images=100, split='val', pipeline=test_pipeline, test_mode=True))
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, num_images=200, split='test', pipeline=test_pipeline, test_mode=True))
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
