# AffinityNet on ToyWorld, on the seeds of plain CAM, made on the fly. Train cam/cam_toyworld.py first and give its
# checkpoint: --cfg-options model.cam_checkpoint=...
_base_ = '../irn/irn_toyworld.py'
model = dict(
    _delete_=True,
    type='AffinityNet',
    num_classes=_base_.num_classes,
    backbone=dict(_base_.model['cam']['backbone'], out_indices=(1, 2, 3)),
    start_from_cam=True,
    head=dict(in_channels=(32, 64, 128), channels=(16, 32, 64)),
    cam=_base_.model['cam'],
    cam_checkpoint='work_dirs/cam_toyworld/iter_1000.pth',
    seeds=dict(background='constant', strict=0.4, loose=0.2),  # ours, as for IRNet
    walk=dict(exp_times=4),  # ours, as for IRNet
    seed=dict(background='constant', thr=0.3),  # ours: one score, as plain CAM has
    data_preprocessor=_base_.model['data_preprocessor'])
lift = dict(expected=-2.5)  # measured, seed 0
