# Pascal Context, 4998 training photographs without masks; val as in open_vocab/context59.py. Sizes of MaskCLIP+.
data_root = '{{$MMSEG_WEAK_DATA:data}}/VOCdevkit/VOC2010'
num_classes = 59
crop_size = (480, 480)
scale = (520, 520)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSemiInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
batch = 4
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(
        type='SeededDataset',
        dataset=dict(
            type='UnlabeledDataset',
            images=f'{data_root}/JPEGImages',
            list_file=f'{data_root}/ImageSets/SegmentationContext/train.txt',
            img_suffix='.jpg',
            pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1,  # photographs differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalContextDataset59',
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
