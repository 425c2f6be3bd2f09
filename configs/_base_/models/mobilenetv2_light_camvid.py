# mobilenetv2_light.py for CamVid, from the ImageNet weights in $MMSEG_WEAK_DATA/weights or data/weights.
import os

_base_ = './mobilenetv2_light.py'
weights = os.path.join(
    os.environ.get('MMSEG_WEAK_DATA', 'data'), 'weights', 'mobilenetv2_1.0_imagenet_mmseg.pth')
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=weights)),
    decode_head=dict(num_classes=11))
