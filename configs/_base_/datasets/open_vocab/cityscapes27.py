# Cityscapes val, 500 photographs, 27 classes, the centre at 320 pixels as methods without labels are evaluated.
_base_ = './base.py'
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='CentreView', side=320),
    dict(type='PackSegInputs')
]
test_dataloader = dict(
    dataset=dict(
        type='Cityscapes27Dataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
