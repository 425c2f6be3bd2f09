# As toyworld_semi.py with a CutMix partner for every unlabelled image: 4 + 4 + 4 images a batch.
_base_ = './toyworld_semi.py'
batch = 12
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'))
