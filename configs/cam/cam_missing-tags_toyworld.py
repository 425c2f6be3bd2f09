# Plain CAM on ToyWorld where a tenth of the tags is missing, the same ones in every run.
_base_ = './cam_toyworld.py'
train_dataloader = dict(dataset=dict(dataset=dict(tag_noise=dict(missing_ratio=0.1))))
train_eval_dataloader = dict(dataset=dict(tag_noise=dict(missing_ratio=0.1)))
lift = dict(baseline='cam/cam_toyworld.py', measure='seed_mIoU', expected=-0.3)  # measured, seed 0
