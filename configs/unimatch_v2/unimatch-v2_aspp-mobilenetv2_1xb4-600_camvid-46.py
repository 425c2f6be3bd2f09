# UniMatch V2's step on CamVid with 46 masks and 321 plain images; a light CNN in place of the paper's DINOv2.
_base_ = [
    '../_base_/models/mobilenetv2_light_camvid.py', '../_base_/datasets/camvid_46_semi.py',
    '../_base_/schedules/camvid_600.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
custom_hooks = [*_base_.custom_hooks, dict(type='EMATeacherHook')]
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatchV2',
    segmentor=_base_.model,
    channels_last=True,  # a quarter faster on CPU
    conf_thr=0.95,
    predict_with='teacher',
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=_base_.crop_size, views=dict(strong1=view, strong2=view)))
