# ToCo on ToyWorld, 600 images with tags, from the tiny ViT: seeds are scored. Its stages fit 1000 iterations.
_base_ = [
    '../_base_/models/cam_vit_toyworld.py', '../_base_/datasets/toyworld_tags.py',
    '../_base_/schedules/tags_vit_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(
    _delete_=True,
    type='ToCo',
    num_classes=8,
    backbone=dict(
        type='ClassTokenViT',
        num_tokens=1,
        embed_dim=96,
        depth=6,
        num_heads=3,
        img_size=128,
        patch_size=8,
        drop_path_rate=0.0,
        final_norm=True,
        train_positions=False,
        init_cfg=dict(type='Pretrained', checkpoint='mmseg_weak://toyworld_vit.pth')),
    decoder=dict(channels=64, dilation=2),
    projector=dict(out_dim=128, hidden_dim=192, bottleneck_dim=64),
    aux_index=-2,
    begin=dict(contrast=-1, seg=300, main=-1),
    num_crops=4,
    local_size=32,
    views=dict(),  # as plain CAM here: colour and pattern tell classes apart, and photometric views change both
    seed=_base_.model['seed'],
    data_preprocessor=dict(_base_.model['data_preprocessor'], size=_base_.crop_size))
custom_hooks = [dict(type='EMATeacherHook')]
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(baseline='cam/cam_vit_toyworld.py', measure='seed_mIoU', expected=19.9)  # measured, seeds 0, 1
