# MGD, VOC 2012 1/8, ResNet-18: 34 epochs of 1157 iterations. lr 0.0025 is what ordinary DDP needs, see
# configs/cps.
_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py', '../_base_/datasets/voc12aug_semi.py',
    '../_base_/schedules/schedule_sgd_poly_80k.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
crop_size = (512, 512)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(
        type='RandomChoice',
        transforms=[[dict(type='RandomRescale', ratio_range=(s, s))]
                    for s in (0.5, 0.75, 1.0, 1.5, 1.75, 2.0)]),
    dict(type='RandomCrop', crop_size=crop_size),
    *_base_.train_pipeline[-2:]
]
lists = _base_.splits + '/1_8/'
labeled = dict(list_file=lists + 'labeled.txt', pipeline=train_pipeline)
unlabeled = dict(list_file=lists + 'unlabeled.txt', pipeline=train_pipeline)
batch = 6
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'),
    dataset=dict(labeled=labeled, unlabeled=unlabeled))
max_iters = 39338
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=1157)
segmentor = dict(
    _base_.model,
    decode_head=dict(_base_.model['decode_head'], num_classes=21),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
# Teachers: CPS with CutMix on the same list, ResNet-101 and wide ResNet-50-2 (timm's, last stage dilated 2
# where the release has 2, 4, 8). Train them first and give their checkpoints below.
deep = dict(
    segmentor,
    backbone=dict(segmentor['backbone'], depth=101, multi_grid=(2, 4, 8), init_cfg=None),
    decode_head=dict(segmentor['decode_head'], in_channels=2048, c1_in_channels=256))
wide = dict(
    segmentor,
    backbone=dict(
        type='TIMMBackbone',
        model_name='wide_resnet50_2',
        features_only=True,
        pretrained=False,
        output_stride=16,
        out_indices=(1, 2, 3, 4)),
    decode_head=dict(segmentor['decode_head'], in_channels=2048, c1_in_channels=256))
model = dict(
    _delete_=True,
    type='MultiGranularityDistiller',
    segmentor=segmentor,
    deep=deep,
    wide=wide,
    deep_checkpoint='work_dirs/mgd_deep_teacher.pth',
    wide_checkpoint='work_dirs/mgd_wide_teacher.pth',
    semantic=dict(type='SemanticSensitiveLoss', loss_weight=0.002),
    content=dict(type='RegionContentLoss', loss_weight=100.0),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=crop_size,
        partner=True))
