# Cityscapes, 27 classes, with masks that a method made of the training photographs; centre views of 320 pixels.
num_classes = 27
crop_size = (320, 320)
masks = 'work_dirs/reco/cityscapes27/masks'
data_root = '{{$MMSEG_WEAK_DATA:data}}/cityscapes'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='CentreView', side=320),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSemiInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='CentreView', side=320),
    dict(type='PackSegInputs')
]
batch = 8
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(
            type='FolderSegDataset',
            images=f'{data_root}/leftImg8bit/train',
            masks=masks,
            classes=[str(i) for i in range(num_classes)],
            pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='Cityscapes27Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
