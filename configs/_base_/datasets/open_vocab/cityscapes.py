# Cityscapes val, 500 photographs, 19 classes.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val')))
