# UniMatch, VOC 2012 blended protocol, 1/16 (662 masks): 80 epochs over 9920 unlabelled images, batch 8 + 8 on
# two GPUs.
_base_ = [
    '../_base_/models/deeplabv3plus_r101-d16.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
batch = 12
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'))
max_iters = 99200
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=2480)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=21))
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatch',
    segmentor=segmentor,
    conf_thr=0.95,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
