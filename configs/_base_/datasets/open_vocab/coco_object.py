# COCO 2017 val, 5000 photographs, background and 80 things; masks by tools/dataset_converters/coco_object.py.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017')))
