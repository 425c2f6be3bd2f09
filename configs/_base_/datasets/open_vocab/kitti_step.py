# KITTI-STEP val, 2981 frames, 19 classes; panoptic PNGs as released.
_base_ = './base.py'
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadPanopticClass'),
    dict(type='PackSegInputs')
]
test_dataloader = dict(
    dataset=dict(
        type='KittiStepDataset',
        data_root='{{$MMSEG_WEAK_DATA:data}}/kitti_step',
        data_prefix=dict(img_path='val', seg_map_path='panoptic_maps/val'),
        pipeline=test_pipeline))
