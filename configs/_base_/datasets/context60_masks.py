# Pascal Context with its background and masks, sizes of MaskCLIP+. A method that hides classes does so itself.
_base_ = './context59_images.py'
num_classes = 60
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=_base_.scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSemiInputs')
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='PascalContextDataset',
            data_root=_base_.data_root,
            ann_file='ImageSets/SegmentationContext/train.txt',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
            pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(type='PascalContextDataset'))
test_dataloader = dict(dataset=dict(type='PascalContextDataset'))
