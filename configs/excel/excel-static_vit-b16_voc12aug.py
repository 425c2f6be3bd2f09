# ExCEL's masks without training (static calibration alone) on VOC 2012: `test` scores seeds of train, `pseudo-label`
# labels train_aug.
_base_ = ['../_base_/models/excel_vit-b16.py', '../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']
model = dict(calibration='static', test_cfg=dict(mode='seed'))
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(_delete_=True, **_base_.train_eval_dataloader)
test_evaluator = dict(type='SeedMetric', background='power', thresholds=(1, 2))
test_cfg = dict(type='TestLoop')
train_eval_dataloader = dict(dataset=dict(list_file=f'{_base_.splits}/train_aug.txt'))
