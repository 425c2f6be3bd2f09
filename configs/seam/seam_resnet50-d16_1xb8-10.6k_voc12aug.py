# SEAM on ResNet-50, the backbone that later work compares on; the paper has ResNet-38 alone. Recipe as there.
_base_ = './seam_resnet38d_1xb8-10.6k_voc12aug.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(1, 2, 3),
        frozen_stages=2,
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    in_channels=2048)
