# CamVid with the masks of every 8th image of the sorted training list: 46 of 367, and nothing else.
_base_ = './camvid.py'
train_dataloader = dict(dataset=dict(dataset=dict(subset=dict(every=8))))
