# Supervised only: CamVid, 46 masks. The baseline of docs/camvid.md; schedule ours, the same for all methods
# there.
_base_ = [
    '../_base_/models/mobilenetv2_light_camvid.py', '../_base_/datasets/camvid_46.py',
    '../_base_/schedules/camvid_600.py', '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
