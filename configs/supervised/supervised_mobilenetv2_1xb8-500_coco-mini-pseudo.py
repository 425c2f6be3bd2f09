# Second stage on coco_mini: the masks that `mmseg-weak pseudo-label` wrote to `folder` train one layer on MobileNetV2.
# --cfg-options train_dataloader.dataset.dataset.folder=DIR names another folder;
# model.backbone.init_cfg.checkpoint=FILE model.backbone.init_cfg.prefix=backbone. starts from the classifier that the
# masks came from.
_base_ = [
    '../_base_/models/mobilenetv2_linear.py', '../_base_/datasets/coco_mini_tags.py',
    '../_base_/schedules/tags_coco_mini.py', '../_base_/default_runtime.py'
]
# One over the root of the number of photographs that show a class, by the tags: rare classes would hardly be learnt.
class_weight = [
    0.17, 1.0, 0.9, 1.0, 1.13, 0.55, 0.8, 0.49, 1.0, 0.52, 1.73, 0.51, 0.69, 1.73, 0.9, 0.24, 0.63, 1.73, 0.95, 1.22,
    0.8
]
model = dict(
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size),
    # mmseg's loss knows no weights with avg_non_ignore; they leave 255 out by themselves
    decode_head=dict(loss_decode=dict(avg_non_ignore=False, class_weight=class_weight)))
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='PseudoLabelDataset',
            folder='work_dirs/coco_mini/pseudo',
            pipeline=_base_.mask_pipeline)))
max_iters = 500
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
