# UniMatch, Cityscapes 1/16 (186 masks): 240 epochs of 348 iterations, as the release counts, OHEM, every
# pixel counts (tau 0). Evaluated on windows of 801 at steps of 2/3; the last window is shifted here and cut
# off in the release.
_base_ = [
    '../_base_/models/deeplabv3plus_r101-d16.py', '../_base_/datasets/cityscapes_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
batch = 12
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'))
max_iters = 83520
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=0.0001))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=2088)
segmentor = dict(
    _base_.model,
    decode_head=dict(
        _base_.model['decode_head'],
        num_classes=19,
        loss_decode=dict(type='ProbOhemCrossEntropyLoss', thresh=0.7, min_kept=200000)),
    test_cfg=dict(mode='slide', crop_size=(801, 801), stride=(534, 534)))
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatch',
    segmentor=segmentor,
    conf_thr=0.0,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
