# Ours: as long as fits about a minute and a half on two CPU cores with the ToyWorld network; poly 0.9 like
# the papers'.
optimizer = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.0005)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=600, by_epoch=False)]
train_cfg = dict(type='WeakIterTrainLoop', max_iters=600, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
