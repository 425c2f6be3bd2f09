# Pascal Context val, 5104 photographs, background and 59 classes.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/VOCdevkit/VOC2010',
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext')))
