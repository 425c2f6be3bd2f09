# ExCEL on ToyWorld, 600 images with tags, on the tiny CLIP: seeds are scored. Its stages fit 1000 iterations; half of
# the blocks are calibrated (of 12, the paper's are 5).
_base_ = [
    '../_base_/models/excel_vit-b16.py', '../_base_/datasets/toyworld_tags.py',
    '../_base_/schedules/tags_vit_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld', templates='imagenet', last=3),
    classes='toyworld',
    background='toyworld',
    num_classes=8,
    attributes='toyworld',
    num_attributes=24,
    decoder=dict(channels=64, depth=1, num_heads=4),
    begin=dict(learn=450, own=800),
    infer_px=None,
    test_cfg=dict(mode='seed', scales=(1.0, ), flip=False),
    data_preprocessor=dict(
        size=_base_.crop_size,
        mean=(122.7709383, 116.7460125, 104.09373615),  # CLIP's, as the tower was trained with
        std=(68.5005327, 66.6321579, 70.32316305)))
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
lift = dict(baseline='cam/cam_vit_toyworld.py', measure='seed_mIoU', expected=5.4)  # measured, seed 0
