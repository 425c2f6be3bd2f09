# DeepLabV3+ with ResNet-18, output stride 16: the student of MGD.
_base_ = './deeplabv3plus_r50-d16.py'
model = dict(
    backbone=dict(depth=18, init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet18_v1c')),
    decode_head=dict(in_channels=512, c1_in_channels=64))
