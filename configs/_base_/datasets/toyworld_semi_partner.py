# As toyworld_semi.py with a CutMix partner for every unlabelled image: 8 + 8 + 8 images a batch.
_base_ = './toyworld_semi.py'
batch = 24
train_dataloader = dict(
    batch_size=batch, sampler=dict(batch_size=batch, source_ratio=[1, 2], partner='other'))
