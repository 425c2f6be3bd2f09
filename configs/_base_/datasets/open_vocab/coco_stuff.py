# COCO-Stuff 164k, COCO 2017 val, 5000 photographs, 171 classes; masks as mmseg converts them.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='COCOStuffDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017')))
