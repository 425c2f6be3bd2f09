# MARS on VOC 2012 train_aug, DeepLabV2 with ResNet-101 (ICCV 2023, table of segmentation networks), on the pseudo masks
# of any method: IRNet's here. The paper's are alpha, the clusters and the network; the schedule follows the base method
# there and is DeepLabV2's usual one here. Features: DINO's ViT-S/8, from which STEGO starts; not the paper's USS.
_base_ = [
    '../_base_/models/deeplabv2_r101-d8.py', '../_base_/datasets/voc12_tags.py',
    '../_base_/schedules/schedule_sgd_poly_20k.py', '../_base_/default_runtime.py'
]
crop_size = (321, 321)
debiased = 'work_dirs/irn_resnet50_1xb32-1k_voc12aug/debiased'
debias = dict(
    extractor=dict(
        backbone=dict(
            type='TimmViT',
            model_name='vit_small_patch8_224',
            out_indices=(11, ),
            checkpoint='{{$MMSEG_WEAK_DATA:data}}/weights/dino_deitsmall8_pretrain.pth'),
        multiple=8),
    ratio=0.4,
    clusters=2,
    background_clusters=2,
    crf=dict(type='DenseCRF', preset='deeplab'))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadDebiasedMask'),
    dict(type='RandomRescale', ratio_range=(0.5, 1.5)),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlipFields', prob=0.5),
    dict(type='PackSemiInputs')
]
batch = 10
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(batch_size=batch),
    dataset=dict(
        dataset=dict(_delete_=True, type='DebiasedLabelDataset', folder=debiased, pipeline=train_pipeline)))
model = dict(
    _delete_=True,
    type='MARS',
    segmentor=_base_.model,
    teacher=dict(momentum=0.001),  # ours: not published
    crf=dict(type='DenseCRF', preset='deeplab'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size))
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
custom_hooks = [dict(type='EMATeacherHook')]
