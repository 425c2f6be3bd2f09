# How all open-vocabulary benchmarks are evaluated: one image at a time, at its own size, by mIoU. The model resizes.
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='color_ignore_orientation'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
test_dataloader = dict(
    batch_size=1,  # photographs differ in size
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True))
test_evaluator = dict(type='WeakIoUMetric', iou_metrics=['mIoU'])
test_cfg = dict(type='TestLoop')
