# Supervised only on ToyWorld, 32 masks: the baseline of the semi-supervised rows of docs/lift.md.
_base_ = [
    '../_base_/models/toyworld_net.py', '../_base_/datasets/toyworld.py',
    '../_base_/schedules/schedule_toyworld.py', '../_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
