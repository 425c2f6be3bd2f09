# CW-BASS on CamVid with 46 masks and 321 plain images, see docs/camvid.md.
_base_ = [
    '../_base_/models/mobilenetv2_light_camvid.py', '../_base_/datasets/camvid_46_semi.py',
    '../_base_/schedules/camvid_600.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
model = dict(
    _delete_=True,
    type='CWBASS',
    segmentor=_base_.model,
    channels_last=True,  # a quarter faster on CPU
    # A run here is 7.5 epochs of 81 iterations where the paper's is 80: one epoch of warm-up instead of 5,
    # and a teacher that averages over 100 steps instead of 1000, which is longer than the run.
    warmup_epochs=1,
    teacher=dict(momentum=0.01),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=_base_.crop_size))
