# IRNet on coco_mini, on the seeds of configs/cam/cam_mobilenetv2_1xb8-300_coco-mini.py; README.md has the command that
# writes them.
_base_ = [
    '../_base_/models/cam_mobilenetv2.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
seeds = 'work_dirs/cam_mobilenetv2_1xb8-300_coco-mini/seeds'
model = dict(
    _delete_=True,
    type='IRNet',
    num_classes=_base_.num_classes,
    cam=_base_.model,
    cam_checkpoint='work_dirs/cam_mobilenetv2_1xb8-300_coco-mini/iter_300.pth',
    stages=('layer2.0', 'layer2.1', 'layer3', 'layer5', 'layer7'),  # of the classifier's own backbone
    heads=dict(in_channels=(24, 24, 32, 96, 320), strides=(4, 4, 8, 16, 16)),
    radius=5,  # ours: crops make maps of 64 pixels, VOC's of 128
    seed_source='masks',
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
train_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, type='PseudoLabelDataset', folder=seeds, pipeline=_base_.mask_pipeline)))
max_iters = 300
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
