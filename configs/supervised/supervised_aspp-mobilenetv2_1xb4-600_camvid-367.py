# Supervised with all 367 masks of CamVid: the upper bound of docs/camvid.md.
_base_ = ['./supervised_aspp-mobilenetv2_1xb4-600_camvid-46.py']
train_dataloader = dict(dataset=dict(dataset=dict(subset=None)))
