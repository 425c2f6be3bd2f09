# COCO-Stuff, 27 coarse classes, the 2175 photographs of val2017 that IIC chose (their list lies in `curated`), the
# centre at 320 pixels; masks of 171 classes as mmseg converts them.
_base_ = './base.py'
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='CentreView', side=320),
    dict(type='PackSegInputs')
]
test_dataloader = dict(
    dataset=dict(
        type='COCOStuff27Dataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/coco_stuff164k',
        ann_file='curated/val2017/Coco164kFull_Stuff_Coarse_7.txt',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
        pipeline=test_pipeline))
