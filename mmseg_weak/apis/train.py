"""Training and testing: what ``tools/*.py`` and the command line pass on to mmengine's runner."""
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_weak.errors import ConfigError, MissingFileError, WeakError

from .config import load_config

__all__ = ['build_runner', 'main_of_tool', 'test', 'train']


def build_runner(config: Config) -> Runner:
    """Build the runner that a config names, ours where it names none.

    Args:
        config: a whole config, with ``work_dir``.
    """
    config.setdefault('runner_type', 'WeakRunner')
    return RUNNERS.build(config)


def _prepare(config: Union[str, Path, Config], work_dir: Optional[Union[str, Path]],
             cfg_options: Optional[Mapping[str, Any]], launcher: str) -> Config:
    if isinstance(config, Config):
        cfg = config
        if cfg_options:
            cfg.merge_from_dict(dict(cfg_options))
    else:
        cfg = load_config(config, cfg_options)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(cfg.filename or 'config').stem))
    if launcher == 'none':
        os.environ.setdefault('LOCAL_RANK', '0')
    return cfg


def train(config: Union[str, Path, Config], work_dir: Optional[Union[str, Path]] = None, resume: bool = False,
          cfg_options: Optional[Mapping[str, Any]] = None, amp: bool = False, launcher: str = 'none') -> Runner:
    """Train a config.

    Args:
        config: path, name of one of our configs, or a config object.
        work_dir: folder of logs and checkpoints; by default the config's, else ``work_dirs/<config name>``.
        resume: go on from the newest readable checkpoint in ``work_dir``.
        cfg_options: dotted keys and values that override the config.
        amp: mixed precision, float16 on GPU and bfloat16 on CPU.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The runner after training.

    Raises:
        ConfigError: ``amp`` with an optimizer wrapper that cannot have it, or a config without a training part.
    """
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if cfg.get('train_dataloader') is None or cfg.get('train_cfg') is None:
        raise ConfigError(f'{cfg.filename} has no train_dataloader or no train_cfg: it is a part of other configs, or '
                          'only for testing.')
    if amp:
        kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if kind == 'OptimWrapper':
            cfg.optim_wrapper.type = 'WeakAmpOptimWrapper'
        elif kind not in ('AmpOptimWrapper', 'WeakAmpOptimWrapper'):
            raise ConfigError(f"--amp needs optim_wrapper.type='OptimWrapper', but {cfg.filename} has {kind!r}; "
                              'set its precision there.')
    if resume:
        cfg.resume = True
    runner = build_runner(cfg)
    runner.train()
    return runner


def test(config: Union[str, Path, Config], checkpoint: Optional[Union[str, Path]] = None,
         work_dir: Optional[Union[str, Path]] = None, out: Optional[Union[str, Path]] = None,
         show_dir: Optional[Union[str, Path]] = None, tta: bool = False,
         cfg_options: Optional[Mapping[str, Any]] = None, launcher: str = 'none',
         loader: Optional[str] = None) -> dict[str, float]:
    """Evaluate a checkpoint on a config's test set.

    Args:
        config: path, name of one of our configs, or a config object.
        checkpoint: file, or a URL that mmengine knows; None for a config that trains nothing.
        work_dir: folder of logs and results.
        out: folder to write the predicted masks to.
        show_dir: folder to write painted images to.
        tta: test-time augmentation, where the config has ``tta_pipeline``.
        cfg_options: dotted keys and values that override the config.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        loader: evaluate on ``<loader>_dataloader`` by ``<loader>_evaluator`` instead: 'val', or 'train_eval' for the
            seeds of the training images.

    Returns:
        The metrics by name.

    Raises:
        MissingFileError: the checkpoint is not there.
        ConfigError: the config lacks what an option needs, or trains and got no checkpoint.
    """
    if checkpoint is not None and '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise MissingFileError(f'The checkpoint {checkpoint} does not exist; give a .pth file of this config, for '
                               'example the one that work_dir/last_checkpoint names.')
    cfg = _prepare(config, work_dir, cfg_options, launcher)
    if checkpoint is None and cfg.get('train_cfg') is not None:
        raise ConfigError(f'{cfg.filename} is a config that trains: name the checkpoint to test, for example the one '
                          'that work_dir/last_checkpoint names.')
    cfg.load_from, cfg.resume = None if checkpoint is None else str(checkpoint), False
    if loader is not None:
        known = sorted(key.removesuffix('_dataloader') for key in cfg if key.endswith('_dataloader')
                       and key.replace('_dataloader', '_evaluator') in cfg)
        if loader not in known:
            raise ConfigError(f'--loader is {loader}, but {cfg.filename} has loaders with an evaluator for '
                              f'{", ".join(known) or "nothing"} only.')
        cfg.test_dataloader, cfg.test_evaluator = cfg[f'{loader}_dataloader'], cfg[f'{loader}_evaluator']
    if show_dir:
        if 'visualization' not in cfg.get('default_hooks', {}):
            raise ConfigError(f'--show-dir needs default_hooks.visualization, which {cfg.filename} does not have.')
        cfg.default_hooks.visualization.draw = True
        cfg.visualizer.save_dir = str(show_dir)
    if tta:
        if cfg.get('tta_pipeline') is None or cfg.get('tta_model') is None:
            raise ConfigError(f'--tta needs tta_pipeline and tta_model, which {cfg.filename} does not have.')
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.tta_model.module = cfg.model
        cfg.model = cfg.tta_model
    if out is not None:
        cfg.test_evaluator.update(output_dir=str(out), keep_results=True)
    return build_runner(cfg).test()


def main_of_tool(main: Callable[[], None]) -> None:
    """Run a script: a sentence and exit code 2 for what the user can mend, a traceback and 1 for a bug.

    Args:
        main: the script's main function.
    """
    try:
        main()
    except WeakError as error:
        print(f'Error: {error}', file=sys.stderr)
        sys.exit(2)
