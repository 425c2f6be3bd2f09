# What every run of ours has in common. A number here is mmseg's default unless it says otherwise.
custom_imports = dict(imports=['mmseg_weak'], allow_failed_imports=False)
default_scope = 'mmseg'
runner_type = 'WeakRunner'  # several processes without a GPU, resume from the newest readable checkpoint
model_wrapper_cfg = dict(type='mmseg.WeakDDP')  # with the scope: mmengine looks it up in its own registry

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # without CUDA the runner starts gloo instead
)
randomness = dict(seed=0)  # ours: a run equals its repeat; --cfg-options randomness.seed=1 for another draw

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    counter_seed=dict(type='CounterSeedHook'),
    nan_guard=dict(type='NanGuardHook'),
    class_list=dict(type='ClassListHook'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
tta_model = dict(type='SegTTAModel')
