# ToCo with ViT-B/16 or DeiT-B/16 (card `toco`; rulixiang/ToCo, scripts/dist_train_voc_seg_neg.py).
view = dict(
    type='PhotometricView', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, jitter_prob=0.8, grey_prob=0.2,
    sigma_px=(0.1, 2.0))
model = dict(
    type='ToCo',
    num_classes=21,
    backbone=dict(
        type='ClassTokenViT',
        num_tokens=1,
        embed_dim=768,
        depth=12,
        num_heads=12,
        img_size=224,
        patch_size=16,
        drop_path_rate=0.0,
        final_norm=True,
        train_positions=False,
        init_cfg=dict(
            type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth')),
    decoder=dict(channels=512, dilation=5),
    projector=dict(out_dim=1024, hidden_dim=2048, bottleneck_dim=256),
    aux_index=-3,
    high_thr=0.7,
    low_thr=0.25,
    begin=dict(contrast=-1, seg=2000, main=-1),
    num_crops=8,
    local_size=96,
    temperature=0.5,
    views=dict(
        first=dict(view, blur_prob=1.0), second=dict(view, blur_prob=0.1, solarize_prob=0.2),
        local=dict(view, blur_prob=0.5)),
    seed=dict(scales=(1.0, 0.5, 1.5), flip='max', normalize='minmax', thr=0.5, multiple=16),
    test_cfg=dict(mode='decode', scales=(1.0, 1.25, 1.5), flip=True, merge='max'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
