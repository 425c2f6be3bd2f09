# coco_mini: 316 photographs of COCO 2017 with the tags of VOC's 20 classes, 64 for validation, long side 448, crop 256.
# Tags are derived from the masks, which nothing else of the training reads; photographs without any of the 20 classes
# stay in and have no tag.
# Folder: $MMSEG_WEAK_DATA/coco_mini or data/coco_mini, with images/{train,val} and masks_voc21/{train,val}.
# Wrong tags: --cfg-options train_dataloader.dataset.dataset.tag_noise.swap_ratio=0.1 (or missing_ratio), and the same
# on train_eval_dataloader.dataset.tag_noise, since the seeds are made with the tags there are.
data_root = '{{$MMSEG_WEAK_DATA:data}}/coco_mini'
num_classes = 21
crop_size = (256, 256)
tag_noise = dict(missing_ratio=0.0, wrong_ratio=0.0, swap_ratio=0.0, seed=0)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
mask_pipeline = [  # for pseudo masks in place of tags
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
test_pipeline = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]
files = dict(type='ImageLabelDataset', data_root=data_root, images='images/train', masks='masks_voc21/train',
             tags='masks', classes='voc', tag_noise=tag_noise)
batch = 8
train_dataloader = dict(
    batch_size=batch,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='RunSampler', batch_size=batch),
    dataset=dict(type='SeededDataset', dataset=dict(pipeline=train_pipeline, **files)))
# training images with tags and masks: what `pseudo-label` labels and SeedMetric scores
train_eval_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(with_masks=True, pipeline=test_pipeline, test_mode=True, **files))
train_eval_evaluator = dict(type='SeedMetric')
val_dataloader = dict(
    batch_size=1,  # photographs differ in size
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='FolderSegDataset', data_root=data_root, images='images/val', masks='masks_voc21/val', classes='voc',
        pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
