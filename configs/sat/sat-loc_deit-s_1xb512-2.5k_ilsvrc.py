# SAT for localisation, ILSVRC 2012, DeiT-S/16 (ICCV 2023, ILSVRC table): one pass over 1281167 images (the
# authors' loop ends after its first epoch), 512 a batch. Numbers are the repository's (train_ImageNet.py).
# Folder as released: $MMSEG_WEAK_DATA/ILSVRC or data/ILSVRC, with Data/CLS-LOC and Annotations/CLS-LOC.
_base_ = ['./sat-loc_deit-s_1xb256-720_cub200.py']
data_root = '{{$MMSEG_WEAK_DATA:data}}/ILSVRC'
num_classes = 1001
batch = 512
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
model = dict(num_classes=num_classes, area=0.35)
max_iters = 2503
optim_wrapper = dict(optimizer=dict(lr=1.5e-5))
param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
