# RefCOCO (UNC split): 42,404 training objects with their sentences, images of COCO 2014 train, all resized to 320x320.
# tools/dataset_converters/refcoco.py makes the JSON of the released refs(unc).p.
num_classes = 2
crop_size = (320, 320)
data_root = '{{$MMSEG_WEAK_DATA:data}}'
files = dict(
    type='RefCOCODataset',
    data_root=data_root,
    refs='refer/refcoco/refs(unc).json',
    instances='refer/refcoco/instances.json',
    images='train2014')
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
batch = 48
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset', dataset=dict(split='train', negatives=3, pipeline=train_pipeline, **files)))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline=test_pipeline, test_mode=True, **files))
test_dataloader = val_dataloader
val_evaluator = dict(type='ReferIoU')
test_evaluator = val_evaluator
