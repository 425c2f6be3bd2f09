# CamVid, 367 / 101 / 233 road scenes of 480x360 with 11 classes, trained at half resolution, all masks used.
# Folder: $MMSEG_WEAK_DATA/camvid or data/camvid, with images/{train,val,test} and masks/{train,val,test}.
dataset_type = 'FolderSegDataset'
data_root = '{{$MMSEG_WEAK_DATA:data}}/camvid'
num_classes = 11
classes = ('Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car', 'Pedestrian',
           'Bicyclist')
palette = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192], [128, 128, 0], [192, 128, 128],
           [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]]
crop_size = (180, 240)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='Resize', scale=(240, 180), keep_ratio=True),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
# Masks are loaded after the resize: predictions are compared at the size of the masks, 480x360.
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=(240, 180), keep_ratio=True),
    dict(type='LoadMask'),
    dict(type='PackSemiInputs')
]
shared = dict(type=dataset_type, data_root=data_root, classes=classes, palette=palette)
labeled = dict(**shared, images='images/train', masks='masks/train', pipeline=train_pipeline)
train_batch = 4
train_dataloader = dict(
    batch_size=train_batch,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=train_batch),
    dataset=dict(type='SeededDataset', dataset=labeled))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**shared, images='images/val', masks='masks/val', pipeline=test_pipeline, test_mode=True))
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**shared, images='images/test', masks='masks/test', pipeline=test_pipeline, test_mode=True))
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
