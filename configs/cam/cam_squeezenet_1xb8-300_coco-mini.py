# Plain CAM on coco_mini, 316 photographs with the tags of VOC's classes, from ImageNet weights: docs/weak.md.
_base_ = [
    '../_base_/models/cam_squeezenet.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(size=_base_.crop_size))
