# ReCo with CRF, KITTI-STEP, 19 classes: no figure at hand for ReCo without training.
_base_ = ['../_base_/models/reco.py', '../_base_/datasets/open_vocab/kitti_step.py', '../_base_/default_runtime.py']
model = dict(
    names='kitti_step',
    index='work_dirs/reco/imagenet.safetensors',
    test_cfg=dict(short_side_px=375))  # frames as they are
