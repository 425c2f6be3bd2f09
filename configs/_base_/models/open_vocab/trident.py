# Trident, arXiv 2411.09219: windows of ProxyCLIP spliced as features, mixed by SAM's correlations; SAM's masks.
# `dino` and `sam` are local files: dino_vitbase16_pretrain.pth of facebookresearch/dino, sam_vit_b_01ec64.pth of
# facebookresearch/segment-anything; None has random weights.
dino = 'pretrained/dino_vitbase16_pretrain.pth'
sam = 'pretrained/sam_vit_b_01ec64.pth'
model = dict(
    type='Trident',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='proxyclip',
        attention_cfg=dict(beta=1.2, gamma=3.0),
        residual=False,
        ffn=False,
        positions='offset'),
    proxy=dict(type='TimmViT', model_name='vit_base_patch16_224', out_indices=(11, ), checkpoint=dino, frozen=True),
    sam=dict(type='SAM', arch='base', checkpoint=sam),
    cos_factor=1.2,
    keep_negative=True,
    refine=dict(coarse_thr=0.2, iou_thr=0.8, min_area=225, factor=0.005),
    test_cfg=dict(short_side_px=448, crop_px=336, stride_px=224, scale=40.0))
