# ToyWorld with sentences that mean the one object of a class: 600 training scenes of 128x128, 50 for validation.
num_classes = 2
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='PackReferring')
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadReferredMask'),
    dict(type='PackReferring')
]
batch = 8
train_dataloader = dict(
    batch_size=batch,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(type='ToyWorldReferring', num_images=600, split='train', negatives=3, pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=20,  # all images are equally large
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyWorldReferring', num_images=50, split='val', pipeline=test_pipeline, test_mode=True))
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyWorldReferring', num_images=100, split='test', pipeline=test_pipeline, test_mode=True))
val_evaluator = dict(type='ReferIoU')
test_evaluator = val_evaluator
