# Plain CAM of the tiny ViT on ToyWorld, 600 images with tags: the baseline of ViT methods in docs/lift.md.
_base_ = [
    '../_base_/models/cam_vit_toyworld.py', '../_base_/datasets/toyworld_tags.py',
    '../_base_/schedules/tags_vit_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
