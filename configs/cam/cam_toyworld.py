# Plain CAM on ToyWorld, 600 images with tags, from scratch: the baseline of image-tag rows of docs/lift.md.
_base_ = [
    '../_base_/models/cam_toyworld.py', '../_base_/datasets/toyworld_tags.py', '../_base_/schedules/tags_toyworld.py',
    '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
val_evaluator = [_base_.seed_metric, dict(type='WeakIoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
