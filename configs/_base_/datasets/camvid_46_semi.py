# CamVid, 46 labelled images (every 8th) and the other 321 without their masks: 4 + 4 images a batch.
_base_ = './camvid.py'
batch = 8
unlabeled = dict(
    type='UnlabeledDataset',
    data_root=_base_.data_root,
    classes=_base_.classes,
    palette=_base_.palette,
    images='images/train',
    masks='masks/train',  # opened with diagnose=True only
    subset=dict(every=8, complement=True),
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=batch, source_ratio=[1, 1]),
    dataset=dict(
        _delete_=True,
        type='SemiDataset',
        labeled=dict(subset=dict(every=8), **_base_.labeled),
        unlabeled=unlabeled))
