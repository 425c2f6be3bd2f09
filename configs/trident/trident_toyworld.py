# Trident on ToyWorld: the tiny ViT is DINO, and stands in for SAM's encoder too. It answers no prompts, so labels are
# not refined by masks; images are one window.
_base_ = [
    '../_base_/models/open_vocab/trident.py', '../_base_/datasets/open_vocab/toyworld.py',
    '../_base_/default_runtime.py'
]
vit = dict(
    type='TimmViT',
    model_name='toyworld_vit',
    out_indices=(5, ),
    checkpoint='mmseg_weak://toyworld_vit.pth',
    frozen=True)
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    names='toyworld',
    background='toyworld',
    proxy=vit,
    sam=dict(_delete_=True, type='ViTCorrelation', backbone=vit),
    refine=None,
    test_cfg=dict(short_side_px=128, crop_px=0))
lift = dict(baseline='clip/clip_toyworld.py', measure='mIoU', expected=13.9)  # measured, seed 0
