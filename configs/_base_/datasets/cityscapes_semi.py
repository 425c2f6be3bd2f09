# Cityscapes, 2975 training images, crop 801 (UniMatch, Table 3: 1/16 = 186 labelled).
# Lists: UniMatch's or CPS's (`image mask` a line), or U2PL's (images alone; the mask's path is derived).
data_root = '{{$MMSEG_WEAK_DATA:data}}/cityscapes'
# The lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/cityscapes'
partition = '1_16'
num_classes = 19
crop_size = (801, 801)
classes = 'cityscapes'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
files = dict(
    data_root=data_root,
    classes=classes,
    mask_replace=[('leftImg8bit/', 'gtFine/'), ('_leftImg8bit.png', '_gtFine_labelTrainIds.png')],
)
labeled = dict(
    type='FolderSegDataset',
    list_file=f'{splits}/{partition}/labeled.txt',
    pipeline=train_pipeline,
    **files,
)
unlabeled = dict(
    type='UnlabeledDataset',
    list_file=f'{splits}/{partition}/unlabeled.txt',
    pipeline=train_pipeline,
    **files)
batch = 4
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='MultiSourceSampler', batch_size=batch, source_ratio=[1, 1]),
    dataset=dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
val_dataloader = dict(
    batch_size=1,  # validation images differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='FolderSegDataset',
        list_file=f'{splits}/val.txt',
        pipeline=test_pipeline,
        test_mode=True,
        **files,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
