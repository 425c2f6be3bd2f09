# CLIP-DINOiser's training: 100 epochs over 1000 photographs, evaluated on VOC21 (62.1 there, the paper's, recalled).
# Teachers are local files: DINO's dino_vitbase16_pretrain.pth and dino_deitsmall8_300ep_pretrain.pth, and FOUND's
# decoder_weights.pt.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/imagenet_1000_images.py',
    '../_base_/default_runtime.py'
]
dino = 'pretrained/dino_vitbase16_pretrain.pth'
dino_small = 'pretrained/dino_deitsmall8_300ep_pretrain.pth'
found = 'pretrained/decoder_weights.pt'
model = dict(
    names='voc20_spaced',
    background='word',
    clean=True,
    head=dict(checkpoint=None),
    dino=dict(type='TimmViT', model_name='vit_base_patch16_224', out_indices=(11, ), checkpoint=dino, frozen=True),
    dino_features='v',
    found=dict(
        type='FOUND',
        backbone=dict(
            type='TimmViT',
            model_name='vit_small_patch8_224',
            out_indices=(11, ),
            checkpoint=dino_small,
            frozen=True),
        checkpoint=found),
    view=dict(
        type='PhotometricView',
        brightness=0.5,
        contrast=0.0,
        saturation=0.0,
        hue=0.0,
        jitter_prob=1.0,
        grey_prob=0.0,
        blur_prob=0.0),
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=_base_.crop_size, pad_val=0, seg_pad_val=255))
max_iters = 6300  # 63 a epoch
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'head.bkg_decoder': dict(lr_mult=200.0)}))  # 0.01
param_scheduler = [
    dict(type='MultiStepLR', milestones=[5000], gamma=0.1, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=max_iters)
