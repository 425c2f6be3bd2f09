# AFA with MiT-B1 (card `afa`; rulixiang/afa, configs/voc_attn_reg.yaml).
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='AFA',
    num_classes=21,
    backbone=dict(
        type='AttentionMiT',
        in_channels=3,
        embed_dims=64,
        num_stages=4,
        num_layers=[2, 2, 2, 2],
        num_heads=[1, 2, 5, 8],
        patch_sizes=[7, 3, 3, 3],
        strides=(4, 2, 2, 1),
        sr_ratios=[8, 4, 2, 1],
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/'
            'mit_b1_20220624-02e5a6a1.pth')),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    high_thr=0.55,
    low_thr=0.35,
    begin=dict(seg=2000, walk=6000),
    radius=8,
    seed=dict(scales=(1.0, 0.5, 1.5), flip='max', normalize='minmax', thr=0.45),
    test_cfg=dict(mode='decode'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
