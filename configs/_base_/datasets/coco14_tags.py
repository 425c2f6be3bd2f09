# COCO 2014 as 81 classes with tags: 82081 training images that show an object, 40137 for validation, crop 512.
# Tags: `cls_labels_onehot.npy` of MCTformer or ToCo, read without running code from it, or COCO's own annotations
# (tags='annotations/instances_train2014.json'). Masks are PNGs of 0 to 80 in the lists' order; crowds are 255.
# Lists belong to their projects and are read from your copy: $MMSEG_WEAK_SPLITS, or data/splits.
data_root = '{{$MMSEG_WEAK_DATA:data}}/coco2014'
splits = '{{$MMSEG_WEAK_SPLITS:data/splits}}/coco14'
num_classes = 81
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]
files = dict(type='COCO14WSSSDataset', data_root=data_root, images='train2014',
             list_file=f'{splits}/train.txt', tags=f'{splits}/cls_labels_onehot.npy')
batch = 16
train_dataloader = dict(
    batch_size=batch,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=dict(pipeline=train_pipeline, **files)))
# training images with tags and masks: what `pseudo-label` labels and SeedMetric scores
train_eval_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(masks='SegmentationClass/train2014', with_masks=True, pipeline=test_pipeline, test_mode=True,
                 **files))
train_eval_evaluator = dict(type='SeedMetric')
val_dataloader = dict(
    batch_size=1,  # validation images differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='COCO14Dataset', data_root=data_root, images='val2014', masks='SegmentationClass/val2014',
        list_file=f'{splits}/val_part.txt',  # 4999 images; val.txt holds all
        pipeline=test_pipeline, test_mode=True))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='COCO14Dataset', data_root=data_root, images='val2014', masks='SegmentationClass/val2014',
        list_file=f'{splits}/val.txt', pipeline=test_pipeline, test_mode=True))
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
