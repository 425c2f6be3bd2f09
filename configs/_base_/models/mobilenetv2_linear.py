# The classifier of cam_mobilenetv2.py as a segmentor: one 1x1 layer on its last map, stride 16. Learns from few
# photographs in few iterations, where a deeper head does not. Backbone from ImageNet weights, or from a classifier that
# was trained on the same photographs: init_cfg.checkpoint=FILE, init_cfg.prefix=backbone.
_base_ = './cam_mobilenetv2.py'
model = dict(
    _delete_=True,
    type='EncoderDecoder',
    backbone=dict(_base_.model['backbone'], out_indices=(5, 6)),  # of one index it gives no list, which heads take
    decode_head=dict(
        type='FCNHead',
        in_channels=320,
        in_index=1,
        channels=320,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=21,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
