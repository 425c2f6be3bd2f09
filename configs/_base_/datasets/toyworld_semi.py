# ToyWorld, 32 labelled images and 600 without their masks: 4 + 4 images a batch.
_base_ = './toyworld.py'
batch = 8
unlabeled = dict(
    type='ToyWorldDataset',
    num_images=632,
    split='train',
    supervision=(),
    subset=dict(first=_base_.num_labeled, complement=True),
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=batch, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='SemiDataset', labeled=_base_.labeled, unlabeled=unlabeled))
