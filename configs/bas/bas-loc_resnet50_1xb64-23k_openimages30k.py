# BAS for localisation, OpenImages30k, ResNet-50 (extended paper, OpenImages table): 50 epochs of 29819 images, rate
# x 0.1 every 20. Numbers are the repository's (WSOL/utils/hyperparameters.py) unless a comment says otherwise.
# Lists of clovaai/wsolevaluation in $MMSEG_WEAK_DATA/OpenImages30k/metadata, its images and masks beside them.
_base_ = ['./bas-loc_resnet50_1xb32-22.5k_cub200.py']
data_root = '{{$MMSEG_WEAK_DATA:data}}/OpenImages30k'
num_classes = 101
batch = 64
files = dict(type='WSOLListDataset', images=f'{data_root}/images', classes=num_classes - 1)  # no names
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(
        dataset=dict(
            _delete_=True,
            metadata=f'{data_root}/metadata/train',
            pipeline=_base_.train_pipeline,
            **files)))
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeWithBoxes', scale=(224, 224)),  # Choe et al.: no crop
    dict(type='LoadLocMask'),
    dict(type='PackSemiInputs')
]
tests = dict(_delete_=True, masks=f'{data_root}/masks', pipeline=test_pipeline, test_mode=True, **files)
val_dataloader = dict(dataset=dict(metadata=f'{data_root}/metadata/val', **tests))
test_dataloader = dict(dataset=dict(metadata=f'{data_root}/metadata/test', **tests))
model = dict(num_classes=num_classes, test_cfg=dict(topk=1, crop=None, ten_crop=False))
max_iters = 23300
param_scheduler = [dict(type='MultiStepLR', milestones=[9320, 18640], gamma=0.1, begin=0, end=max_iters,
                        by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=2330)
val_evaluator = dict(_delete_=True, type='PxAPMetric')
test_evaluator = val_evaluator
