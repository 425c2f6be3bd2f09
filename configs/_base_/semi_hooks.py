# What every semi-supervised run logs.
custom_hooks = [dict(type='PseudoLabelStatsHook', interval=50), dict(type='PseudoLabelSnapshotHook')]
