# Horses with 10 masks, the other 251 training photographs without theirs: 4 + 4 images a batch.
_base_ = './horses.py'
batch = 8
num_labeled = 10
pool = [i for i in range(327) if i % 5]  # every fifth is for validation
chosen = pool[::26][:num_labeled]  # spread over the sorted names
labeled = dict(subset=chosen, pipeline=_base_.train_pipeline, **_base_.files)
unlabeled = dict(
    type='UnlabeledDataset',
    data_root=_base_.data_root,
    classes=_base_.classes,
    images='images',
    subset=[i for i in pool if i not in chosen],
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    batch_size=batch,
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=batch, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
