# DeepLabV3+ with ResNet-18, output stride 16, last stage dilated 2 and 4: the student of MGD (which dilates
# both layers of a block; mmseg the first).
_base_ = './deeplabv3plus_r50-d16.py'
model = dict(
    backbone=dict(
        depth=18,
        multi_grid=(2, 4),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet18_v1c')),
    decode_head=dict(in_channels=512, c1_in_channels=64))
