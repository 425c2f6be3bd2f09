# CLIP-ES on COCO 2014 (CVPR 2023, seeds of the training images): boxes at 0.7, words without 'keyboard' and 'sign'.
_base_ = [
    '../_base_/models/clip_es_vit-b16.py', '../_base_/datasets/coco14_tags.py', '../_base_/default_runtime.py'
]
model = dict(classes='coco14_tags', num_classes=81, share=0.7)
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(_delete_=True, **_base_.train_eval_dataloader)
test_evaluator = dict(type='SeedMetric', background='power', thresholds=(1, 2), mean='present')  # as they search
test_cfg = dict(type='TestLoop')
