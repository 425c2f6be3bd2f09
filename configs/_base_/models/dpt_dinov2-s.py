# As dpt_dinov2-b.py with DINOv2-S/14.
_base_ = './dpt_dinov2-b.py'
dinov2 = 'pretrained/dinov2_vits14_pretrain.pth'
model = dict(
    backbone=dict(model_name='vit_small_patch14_dinov2', checkpoint=dinov2),
    decode_head=dict(
        in_channels=[384, 384, 384, 384],
        embed_dims=384,
        post_process_channels=[48, 96, 192, 384],
        channels=64))
