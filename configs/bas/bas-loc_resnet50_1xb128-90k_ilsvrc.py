# BAS for localisation, ILSVRC 2012, ResNet-50 (extended paper, ILSVRC table): 9 epochs of 1281167 images, rate x 0.1
# every 3. Numbers are the repository's (WSOL/utils/hyperparameters.py).
# Folder as released: $MMSEG_WEAK_DATA/ILSVRC or data/ILSVRC, with Data/CLS-LOC and Annotations/CLS-LOC.
_base_ = ['./bas-loc_resnet50_1xb32-22.5k_cub200.py']
data_root = '{{$MMSEG_WEAK_DATA:data}}/ILSVRC'
num_classes = 1001
batch = 128
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type='ILSVRCLocalization',
            data_root=data_root,
            split='train',
            pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ILSVRCLocalization',
        data_root=data_root,
        split='val',
        pipeline=_base_.test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
model = dict(num_classes=num_classes, frg_weight=1.0, area_weight=2.0, test_cfg=dict(topk=1, box_thr=0.25))
max_iters = 90090
param_scheduler = [dict(type='MultiStepLR', milestones=[30030, 60060], gamma=0.1, begin=0, end=max_iters,
                        by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=30030)
val_evaluator = dict(type='LocalizationMetric', box_thr=0.25)
test_evaluator = val_evaluator
