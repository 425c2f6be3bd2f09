# MaskCLIP+ with CLIP ViT-B/16, annotation-free, Pascal Context 59: mIoU 31.1, the repository's table.
_base_ = './maskclip-plus-rn50_deeplabv2-r101_4xb4-4k_context59.py'
model = dict(clip=dict(name='ViT-B-16'))
