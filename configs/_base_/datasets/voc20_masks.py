# Pascal VOC 2012, 10582 training photographs (train_aug) with masks, background unknown; sizes of MaskCLIP+.
# Lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
data_root = '{{$MMSEG_WEAK_DATA:data}}/VOCdevkit/VOC2012'
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/voc12'
num_classes = 20
crop_size = (512, 512)
scale = (2048, 512)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
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
            type='FolderSegDataset',
            data_root=data_root,
            images='JPEGImages',
            masks='SegmentationClassAug',
            list_file=f'{splits}/train_aug.txt',
            reduce_zero_label=True,
            classes=('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
                     'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
                     'tvmonitor'),
            pipeline=train_pipeline)))
val_dataloader = dict(
    batch_size=1,  # photographs differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalVOC20Dataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
