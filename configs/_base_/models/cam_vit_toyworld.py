# Plain CAM over the patches of the tiny ViT that comes with the package (docs/towers.md), pooled by maximum as in ToCo.
model = dict(
    type='CAMClassifier',
    num_classes=8,
    backbone=dict(
        type='TimmViT', model_name='toyworld_vit', out_indices=(5, ), checkpoint='mmseg_weak://toyworld_vit.pth'),
    head=dict(in_channels=96, pooling='gmp'),
    seed=dict(scales=(1.0, 0.5, 1.5), flip='max', normalize='minmax', multiple=8),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
