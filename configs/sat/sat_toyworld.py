# SAT for seeds on ToyWorld, 600 images with tags, from the tiny ViT. The paper localises one class; the form for tags
# and its schedule are ours (mmseg_weak/methods/weak/sat.py).
_base_ = [
    '../_base_/models/cam_vit_toyworld.py', '../_base_/datasets/toyworld_tags.py',
    '../_base_/schedules/tags_vit_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='SAT',
    num_classes=8,
    backbone=dict(
        type='SpatialTokenViT',
        embed_dim=96,
        depth=6,
        num_heads=3,
        img_size=128,
        patch_size=8,
        masked_blocks=2,
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint='mmseg_weak://toyworld_vit.pth')),
    area=0.25,
    maps='weighted',
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(loc_token=_base_.heads, loc_embed=_base_.heads)))
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(baseline='cam/cam_vit_toyworld.py', measure='seed_mIoU', expected=7.4)  # measured, seed 0
