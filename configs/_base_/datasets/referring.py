# Referring expressions of your own, in $MMSEG_WEAK_DATA/referring: images/, train.csv and val.csv (columns image,
# expression, object, and in val.csv mask; or .json), masks/; all resized to 320x320.
num_classes = 2
crop_size = (320, 320)
folder = '{{$MMSEG_WEAK_DATA:data}}/referring'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='PackReferring')
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadReferredMask'),  # at the image's own size
    dict(type='PackReferring')
]
batch = 16
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(
            type='ReferringDataset',
            objects=f'{folder}/train.csv',
            images=f'{folder}/images',
            negatives=3,
            pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ReferringDataset',
        objects=f'{folder}/val.csv',
        images=f'{folder}/images',
        masks=f'{folder}/masks',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='ReferIoU')
test_evaluator = val_evaluator
