# mobilenetv2_light.py for CamVid, from the ImageNet weights in $MMSEG_WEAK_DATA/weights or data/weights.
_base_ = './mobilenetv2_light.py'
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/mobilenetv2_1.0_imagenet_mmseg.pth'
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=weights)),
    decode_head=dict(num_classes=11))
