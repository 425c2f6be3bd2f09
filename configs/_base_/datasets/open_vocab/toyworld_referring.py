# ToyWorld's sentences as docs/lift.md has them: those about its first 50 validation images of 128x128.
_base_ = './base.py'
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadReferredMask'),
    dict(type='PackReferring')
]
test_dataloader = dict(
    batch_size=20,
    num_workers=1,
    dataset=dict(type='ToyWorldReferring', num_images=50, split='val', pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, type='ReferIoU')
