# COCO 2017 as 81 classes (background and 80 things), 118287 training images, crop 513 (UniMatch, Table 4:
# 1/512 = 232 labelled).
# Lists: UniMatch's splits/coco/<partition> (`train2017/x.jpg masks/x.png`); its masks hold 0 to 80.
data_root = '{{$MMSEG_WEAK_DATA:data}}/coco'
# The lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/coco'
partition = '1_512'
num_classes = 81
crop_size = (513, 513)
classes = (
    'background', 'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic light', 'fire hydrant', 'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse',
    'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella', 'handbag', 'tie',
    'suitcase', 'frisbee', 'skis', 'snowboard', 'sports ball', 'kite', 'baseball bat', 'baseball glove',
    'skateboard', 'surfboard', 'tennis racket', 'bottle', 'wine glass', 'cup', 'fork', 'knife', 'spoon',
    'bowl', 'banana', 'apple', 'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog', 'pizza', 'donut',
    'cake', 'chair', 'couch', 'potted plant', 'bed', 'dining table', 'toilet', 'tv', 'laptop', 'mouse',
    'remote', 'keyboard', 'cell phone', 'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book',
    'clock', 'vase', 'scissors', 'teddy bear', 'hair drier', 'toothbrush')
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
files = dict(data_root=data_root, classes=classes)
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
