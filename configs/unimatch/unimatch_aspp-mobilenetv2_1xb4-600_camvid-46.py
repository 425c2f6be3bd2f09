# UniMatch on CamVid with 46 masks and 321 plain images, see docs/camvid.md.
_base_ = [
    '../_base_/models/mobilenetv2_light_camvid.py', '../_base_/datasets/camvid_46_semi_partner.py',
    '../_base_/schedules/camvid_600.py', '../_base_/default_runtime.py', '../_base_/semi_hooks.py'
]
view = dict(type='PhotometricView')
model = dict(
    _delete_=True,
    type='UniMatch',
    segmentor=_base_.model,
    channels_last=True,  # a quarter faster on CPU
    conf_thr=0.95,
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        size=_base_.crop_size,
        partner=True,
        views=dict(strong1=view, strong2=view)))
