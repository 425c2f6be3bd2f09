# ToyWorld with tags alone: 600 training images of 128x128, 100 for validation, crops of 112.
# Crops are large, since a crop that loses an object makes its tag wrong.
# Wrong tags: --cfg-options train_dataloader.dataset.dataset.tag_noise.swap_ratio=0.1 (or missing_ratio), and the same
# on train_eval_dataloader.dataset.tag_noise, since the seeds are made with the tags there are.
dataset_type = 'ToyWorldDataset'
num_classes = 8
crop_size = (112, 112)
num_images = 600
tag_noise = dict(missing_ratio=0.0, wrong_ratio=0.0, swap_ratio=0.0, seed=0)
train_pipeline = [
    dict(type='RandomRescale', ratio_range=(0.8, 1.25)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs'),
]
test_pipeline = [dict(type='PackSemiInputs')]  # ToyWorld draws its images: nothing to load
tagged = dict(type=dataset_type, num_images=num_images, split='train', tag_noise=tag_noise)
batch = 8
train_dataloader = dict(
    batch_size=batch,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=dict(supervision=('tags', ), pipeline=train_pipeline, **tagged)))
# training images with tags and masks: what `pseudo-label` labels and SeedMetric scores
train_eval_dataloader = dict(
    batch_size=20,  # all images are equally large
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(supervision=('tags', 'mask'), pipeline=test_pipeline, test_mode=True, **tagged))
# ViT maps want a higher background than the protocols' 0.59
seed_metric = dict(type='SeedMetric', thresholds=[i / 100 for i in range(100)])
train_eval_evaluator = seed_metric
val_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, num_images=100, split='val', supervision=('tags', 'mask'), pipeline=test_pipeline,
                 test_mode=True))
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, num_images=200, split='test', supervision=('tags', 'mask'),
                 pipeline=test_pipeline, test_mode=True))
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
