# AFA on ToyWorld, 600 images with tags, a small MiT from scratch: seeds are scored. Its stages fit 2000 iterations.
_base_ = '../cam/cam_mit_toyworld.py'
model = dict(
    _delete_=True,
    type='AFA',
    num_classes=8,
    backbone=_base_.model['backbone'],
    decode_head=dict(
        type='SegformerHead',
        in_channels=[16, 32, 32, 64],
        in_index=[0, 1, 2, 3],
        channels=32,
        dropout_ratio=0.1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    begin=dict(seg=600, walk=1200),
    seed=_base_.model['seed'],
    data_preprocessor=_base_.model['data_preprocessor'])
lift = dict(baseline='cam/cam_mit_toyworld.py', measure='seed_mIoU', expected=1.3)  # measured, seed 0
