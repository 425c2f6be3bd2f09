# ToyWorld's 600 training images alone, 100 for validation, crops of 112 as with tags.
_base_ = './toyworld.py'
crop_size = (112, 112)
batch = 8
train_pipeline = [
    dict(type='RandomRescale', ratio_range=(0.8, 1.25)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(dataset=dict(num_images=600, supervision=(), pipeline=train_pipeline)))
