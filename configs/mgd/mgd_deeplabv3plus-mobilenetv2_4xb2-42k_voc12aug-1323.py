# MGD, VOC 2012 1/8, MobileNetV2: weights 0.0005 and 50.
# (Set partition = '1_8' in configs/_base_/datasets/voc12aug_semi.py, or the two list_file keys.)
_base_ = [
    '../_base_/models/deeplabv3plus_mobilenetv2-d32.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
crop_size = (512, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomChoice', transforms=[[dict(type='RandomRescale', ratio_range=(s, s))]
                                          for s in (0.5, 0.75, 1.0, 1.5, 1.75, 2.0)]),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-2:]
]
pipeline = dict(pipeline=train_pipeline)
batch = 6
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'),
    dataset=dict(labeled=pipeline, unlabeled=pipeline))

max_iters = 42160
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=0.0001))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1054)
segmentor = dict(_base_.model, decode_head=dict(_base_.model['decode_head'], num_classes=21), test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
# Teachers: CPS with CutMix on the same split (configs/cps), ResNet-101 and wide ResNet-50-2; give their checkpoints below.
deep = dict(
    segmentor,
    backbone=dict(
        type='ResNetV1c', depth=101, num_stages=4, out_indices=(0, 1, 2, 3), dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1),
        norm_cfg=segmentor['backbone']['norm_cfg'], style='pytorch', contract_dilation=True),
    decode_head=dict(segmentor['decode_head'], in_channels=2048, c1_in_channels=256))
wide = dict(
    segmentor,
    backbone=dict(
        type='ResNeXt', depth=50, groups=1, base_width=128, num_stages=4, out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 1, 2), strides=(1, 2, 2, 1), norm_cfg=segmentor['backbone']['norm_cfg'], style='pytorch',
        contract_dilation=True),
    decode_head=dict(segmentor['decode_head'], in_channels=2048, c1_in_channels=256))
model = dict(
    _delete_=True,
    type='MultiGranularityDistiller',
    segmentor=segmentor,
    deep=deep,
    wide=wide,
    deep_checkpoint='work_dirs/mgd_deep_teacher.pth',
    wide_checkpoint='work_dirs/mgd_wide_teacher.pth',
    semantic=dict(type='SemanticSensitiveLoss', loss_weight=0.0005),
    content=dict(type='RegionContentLoss', loss_weight=50.0),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        partner=True))
