# CLIP-DINOiser on ToyWorld: the convolution that pools learns from the tiny ViT; FOUND has none of that size, so
# there is no second convolution and no cleaning.
_base_ = [
    '../_base_/models/open_vocab/clip_dinoiser.py', '../_base_/datasets/toyworld_images.py',
    '../_base_/default_runtime.py'
]
max_iters = 600
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    names='toyworld',
    background='toyworld',
    head=dict(channels=64, background=False, checkpoint=None),
    dino=dict(
        type='TimmViT',
        model_name='toyworld_vit',
        out_indices=(5, ),
        checkpoint='mmseg_weak://toyworld_vit.pth',
        frozen=True),
    data_preprocessor=dict(
        type='SegDataPreProcessor', bgr_to_rgb=True, size=_base_.crop_size, pad_val=0, seg_pad_val=255),
    test_cfg=dict(short_side_px=128, crop_px=0, multiple_px=8))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.01))  # ours
param_scheduler = [dict(type='MultiStepLR', milestones=[480], gamma=0.1, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
lift = dict(baseline='clip/clip_toyworld.py', measure='mIoU', expected=6.2)  # measured, seed 0
