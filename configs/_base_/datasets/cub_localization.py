# CUB-200-2011 with one class an image: 5994 for training, 5794 for testing, resized to 256x256, crops of 224.
# Folder as released, with images.txt, bounding_boxes.txt, images/: $MMSEG_WEAK_DATA/CUB_200_2011 or data/CUB_200_2011.
data_root = '{{$MMSEG_WEAK_DATA:data}}/CUB_200_2011'
num_classes = 201
crop_size = (224, 224)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeWithBoxes', scale=(256, 256)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeWithBoxes', scale=(256, 256)), dict(type='PackSemiInputs')]
batch = 32
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(type='CUBLocalization', data_root=data_root, split='train', pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CUBLocalization', data_root=data_root, split='test', pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='LocalizationMetric')
test_evaluator = val_evaluator
