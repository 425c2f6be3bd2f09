# Pascal VOC 2012 with tags: 10582 training images (train_aug), crop 512 (IRN); seeds are scored on the 1464 of train,
# masks on the 1449 of val.
# Tags: `cls_labels_onehot.npy` of ToCo or `cls_labels.npy` of IRN, read without running code from it, or VOC's own
# XML files (tags='Annotations'). No mask is read for training.
# Lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
data_root = '{{$MMSEG_WEAK_DATA:data}}/VOCdevkit/VOC2012'
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/voc12'
num_classes = 21
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]
files = dict(type='VOC12WSSSDataset', data_root=data_root, images='JPEGImages',
             tags=f'{splits}/cls_labels_onehot.npy')
batch = 16
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=dict(list_file=f'{splits}/train_aug.txt',
                                                    pipeline=train_pipeline, **files)))
# training images with tags and masks: what `pseudo-label` labels and SeedMetric scores
train_eval_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(list_file=f'{splits}/train.txt', masks='SegmentationClassAug', with_masks=True,
                 pipeline=test_pipeline, test_mode=True, **files))
train_eval_evaluator = dict(type='SeedMetric')
val_dataloader = dict(
    batch_size=1,  # validation images differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='FolderSegDataset', data_root=data_root, images='JPEGImages', masks='SegmentationClassAug',
        list_file=f'{splits}/val.txt', classes='voc', pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
