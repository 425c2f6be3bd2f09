# WeCLIP's and ExCEL's schedule on VOC: AdamW (the decoder alone learns), warm-up of 50 iterations, then straight to 0.
# Rates are the repositories' ten times the base rate for the decoder.
max_iters = 30000
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='WarmupPolyLR', max_iters=max_iters, warmup_iters=50, warmup_ratio=1e-6, power=1.0, end=max_iters)
]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=max_iters, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
