# Pascal VOC 2012 val, 1449 photographs, background and 20 classes.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='PascalVOCDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/VOCdevkit/VOC2012',
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass')))
