# MCTformer with DeiT-S/16 (card `mctformer`).
model = dict(
    type='MCTformer',
    num_classes=21,
    version='plus',
    backbone=dict(
        type='ClassTokenViT',
        embed_dim=384,
        depth=12,
        num_heads=6,
        img_size=448,
        patch_size=16,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth')),
    seed=dict(scales=(1.0, 0.75, 1.25), flip='sum', normalize='minmax', eps=1e-8, multiple=16),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
