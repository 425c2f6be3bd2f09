"""Runner, loop, wrappers and hooks that make a run exact to resume and safe to kill."""
from .capture import replay
from .ddp import WeakDDP
from .hooks import (
    AtomicCheckpointHook,
    ClassListHook,
    CounterSeedHook,
    EMATeacherHook,
    NanGuardHook,
    NonFiniteLossError,
    PseudoLabelSnapshotHook,
    PseudoLabelStatsHook,
)
from .loops import WeakIterTrainLoop
from .optim import WeakAmpOptimWrapper
from .runner import WeakRunner
from .schedulers import WarmupPolyLR

__all__ = ['AtomicCheckpointHook', 'ClassListHook', 'CounterSeedHook', 'EMATeacherHook', 'NanGuardHook',
           'NonFiniteLossError', 'PseudoLabelSnapshotHook', 'PseudoLabelStatsHook', 'WarmupPolyLR',
           'WeakAmpOptimWrapper', 'WeakDDP', 'WeakIterTrainLoop', 'WeakRunner', 'replay']
