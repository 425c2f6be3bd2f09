# Plain CAM of a small MiT from scratch on ToyWorld, 600 images with tags: AFA's baseline in docs/lift.md.
_base_ = [
    '../_base_/datasets/toyworld_tags.py', '../_base_/schedules/tags_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(
    type='CAMClassifier',
    num_classes=8,
    backbone=dict(
        type='AttentionMiT',
        embed_dims=16,
        num_layers=[1, 1, 1, 2],
        num_heads=[1, 2, 2, 4],
        patch_sizes=[7, 3, 3, 3],
        strides=(2, 2, 2, 1),
        sr_ratios=[8, 4, 2, 1],
        qkv_bias=True,
        drop_path_rate=0.0),
    head=dict(in_channels=64, pooling='gmp'),
    seed=dict(scales=(1.0, 0.5, 1.5), flip='max', normalize='minmax'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
# a transformer from scratch: slower and longer than the plain network, whose schedule leaves it almost untrained
max_iters = 2000
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
