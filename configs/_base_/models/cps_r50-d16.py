# TorchSemiSeg's DeepLabV3+ (CPS, Mean Teacher): the last stage of ResNet-50 dilates 2, 4, 8 at output stride
# 16.
_base_ = './deeplabv3plus_r50-d16.py'
model = dict(backbone=dict(multi_grid=(2, 4, 8)))
