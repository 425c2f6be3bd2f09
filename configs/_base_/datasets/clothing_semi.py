# Clothing: masks of the labelled half but every fifth (803), and the 1094 photographs of the other half
# without their tags.
_base_ = './clothing.py'
batch = 8
unlabeled = dict(
    type='UnlabeledDataset',
    data_root=_base_.data_root,
    classes=_base_.classes,
    images='images/tagged',
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=batch, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='SemiDataset', labeled=_base_.labeled, unlabeled=unlabeled))
