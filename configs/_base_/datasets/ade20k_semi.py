# ADE20K, 150 classes, 20210 training images, crop 512 (SemiVL: 1/128 = 158 labelled).
# The masks are the original ones, 0 = unknown; for the shifted masks of UniMatch V2 set
# reduce_zero_label=False in all three. Without published lists, `mmseg-weak split` makes nested ones of the
# same sizes.
data_root = '{{$MMSEG_WEAK_DATA:data}}/ADEChallengeData2016'
# The lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/ade20k'
partition = '1_128'
num_classes = 150
crop_size = (512, 512)
classes = 'ade'
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
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
files = dict(data_root=data_root, classes=classes, reduce_zero_label=True)
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
batch = 8
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
