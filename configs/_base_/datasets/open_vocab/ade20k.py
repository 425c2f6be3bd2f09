# ADE20K val, 2000 photographs, 150 classes.
_base_ = './base.py'
test_dataloader = dict(
    dataset=dict(
        type='ADE20KDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation')))
