"""Hooks: one job at one moment each."""
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .class_list_hook import ClassListHook
from .counter_seed_hook import CounterSeedHook
from .ema_teacher_hook import EMATeacherHook
from .nan_guard_hook import NanGuardHook, NonFiniteLossError
from .previous_model_hook import PreviousModelHook
from .pseudo_label_snapshot_hook import PseudoLabelSnapshotHook
from .pseudo_label_stats_hook import PseudoLabelStatsHook

__all__ = ['AtomicCheckpointHook', 'ClassListHook', 'CounterSeedHook', 'EMATeacherHook', 'NanGuardHook',
           'NonFiniteLossError', 'PreviousModelHook', 'PseudoLabelSnapshotHook', 'PseudoLabelStatsHook']
