# DINOv2-B/14 (timm's ViT, final LayerNorm on all four levels) with a DPT decoder without norms, as UniMatch
# V2. `dinov2` is a local file: the authors' dinov2_vitb14_pretrain.pth or timm's; None starts from scratch.
dinov2 = 'pretrained/dinov2_vitb14_pretrain.pth'
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='TimmViT',
        model_name='vit_base_patch14_dinov2',
        out_indices=(2, 5, 8, 11),
        checkpoint=dinov2),
    decode_head=dict(
        type='DPTMapHead',
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        input_transform='multiple_select',
        embed_dims=768,
        post_process_channels=[96, 192, 384, 768],
        patch_size=14,
        channels=128,
        dropout_ratio=0.0,
        num_classes=21,
        norm_cfg=None,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
