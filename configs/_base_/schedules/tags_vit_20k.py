# AFA's and ToCo's schedule on VOC: AdamW, warm-up of 1500 iterations, heads ten times the backbone's rate.
max_iters = 20000
heads = dict(lr_mult=10.0)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys=dict(head=heads, decoder=heads, projector=heads)))
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=max_iters, warmup_iters=1500, warmup_ratio=1e-6, power=0.9, end=max_iters)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
custom_hooks = [dict(type='EMATeacherHook')]
