"""mmengine's runner, on machines without a GPU too, and with a resume that survives a kill."""
import os
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Optional

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_rank, is_distributed
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from torch import nn

from mmseg_weak.errors import CheckpointError

__all__ = ['WeakRunner', 'resumable_checkpoints']

_LAUNCHER_VARIABLES = {  # rank, local rank and number of processes as each launcher tells them
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'),
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE'),
}
_GLOO_REST_S = 0.5


def resumable_checkpoints(work_dir: str | os.PathLike) -> list[Path]:
    """Checkpoints from which a run in a folder could go on, newest first.

    Args:
        work_dir: the run's folder. The folder of the file that ``last_checkpoint`` names is searched too.

    Returns:
        Files named ``iter_<n>.pth`` or ``epoch_<n>.pth`` by falling ``n``, whether they can be read or not.
    """
    folders = [Path(work_dir)]
    pointer = folders[0] / 'last_checkpoint'
    if pointer.is_file():
        text = pointer.read_text(errors='replace').strip().strip('\0')
        if text and Path(text).parent.resolve() != folders[0].resolve():
            folders.append(Path(text).parent)
    found = []
    for folder in folders:
        for path in folder.glob('*.pth') if folder.is_dir() else ():
            match = re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', path.name)
            if match:
                found.append((int(match.group(1)), path))
    return [path for _, path in sorted(found, key=lambda item: item[0], reverse=True)]


@RUNNERS.register_module()
class WeakRunner(Runner):
    """Runner for CPU, GPU and clusters; stock ``tools/train.py`` builds it where ``runner_type='WeakRunner'``.

    What differs from mmengine's: without CUDA, several processes talk through gloo and SyncBN becomes BN (said once);
    the process group that it opened is closed after the run; ``resume`` takes the newest checkpoint that can be read
    and names those that it skipped; a resumed run's samplers get the first run's seed.
    """

    _owns_group = False

    # ---- processes --------------------------------------------------------------------------------------------------

    def setup_env(self, env_cfg: dict) -> None:
        """Open a gloo group where there is no CUDA, then do what mmengine does."""
        self._open_group(env_cfg)
        super().setup_env(env_cfg)

    def _open_group(self, env_cfg: dict) -> None:
        if not self.distributed or is_distributed() or torch.cuda.is_available():
            return
        rank, local_rank, world = (os.environ[name] for name in _LAUNCHER_VARIABLES[self.launcher])
        if self.launcher == 'slurm':
            os.environ.setdefault('MASTER_ADDR', _first_slurm_host())
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
        os.environ.setdefault('MASTER_PORT', '29500')
        os.environ.setdefault('LOCAL_RANK', local_rank)
        timeout = timedelta(seconds=env_cfg.get('dist_cfg', {}).get('timeout', 1800))
        torch_dist.init_process_group('gloo', rank=int(rank), world_size=int(world), timeout=timeout)
        self._owns_group = True

    def _close_group(self) -> None:
        if self._owns_group and torch_dist.is_initialized():
            torch_dist.destroy_process_group()
            # DDP keeps gloo's threads alive after this. One that still lets go of the last operation's tensors while
            # the interpreter ends aborts the process (3 of 30 runs of 2 processes with torch 2.15): let them finish.
            time.sleep(_GLOO_REST_S)
        self._owns_group = False

    def train(self) -> nn.Module:
        """Train, and close the process group that this runner opened."""
        return self._run(super().train)

    def val(self) -> dict:
        """Validate, and close the process group that this runner opened."""
        return self._run(super().val)

    def test(self) -> dict:
        """Test, and close the process group that this runner opened."""
        return self._run(super().test)

    def _run(self, run: Any) -> Any:
        self._open_group(self.cfg.get('env_cfg', {}))  # a second run of the same runner
        try:
            result = run()
            if self._owns_group:  # none leaves while another still talks to it: seen to abort at exit on a busy machine
                torch_dist.barrier()
            return result
        finally:
            self._close_group()

    def wrap_model(self, model_wrapper_cfg: Optional[dict], model: nn.Module) -> nn.Module:
        """Wrap for several processes with ``WeakDDP`` unless the config names another wrapper."""
        if self.distributed and not is_model_wrapper(model):
            if not torch.cuda.is_available():
                model = self._without_sync_bn(model)
            model_wrapper_cfg = dict(model_wrapper_cfg or dict(type='mmseg.WeakDDP'))
            model_wrapper_cfg.setdefault('find_unused_parameters', self.cfg.get('find_unused_parameters', False))
        return super().wrap_model(model_wrapper_cfg, model)

    def _without_sync_bn(self, model: nn.Module) -> nn.Module:
        asked = self.cfg.get('sync_bn', None) is not None
        if asked:
            self.cfg.sync_bn = None
        if asked or any(type(module).__name__ == 'SyncBatchNorm' for module in model.modules()):
            model = revert_sync_batchnorm(model)
            print_log('There is no GPU, and SyncBN needs one: every SyncBN layer of the model is now a BN layer, with '
                      'statistics per process that are averaged after each step.', logger='current', level=30)
        return model

    # ---- seed and resume --------------------------------------------------------------------------------------------

    @property
    def base_seed(self) -> int:
        """The run's seed before a rank is added to it (``randomness.diff_rank_seed``)."""
        return self.seed - (get_rank() if self._randomness_cfg.get('diff_rank_seed', False) else 0)

    def load_or_resume(self) -> None:
        """Resume from the newest checkpoint of the work_dir that can be read, or do what mmengine does.

        Raises:
            CheckpointError: there are checkpoints, and none of them can be read.
        """
        if self._has_loaded or not self._resume or self._load_from is not None:
            return super().load_or_resume()
        skipped: list[str] = []
        for path in resumable_checkpoints(self.work_dir):
            try:
                self.resume(str(path))
            except CheckpointError as error:
                skipped.append(path.name)
                self.logger.warning(f'Skipped {path.name}: {error}')
                continue
            older = f'; skipped, unreadable: {", ".join(skipped)}' if skipped else ''
            self.logger.info(f'Resumed from {path}{older}.')
            self._has_loaded = True
            return None
        if skipped:
            raise CheckpointError(f'None of the checkpoints in {self.work_dir} can be read ({", ".join(skipped)}); '
                                  'move them away and start again without --resume.')
        self.logger.info(f'There is no checkpoint in {self.work_dir} yet: the run starts from the beginning.')
        return None

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict:
        """Load weights; mmengine goes on from random ones where the names of all of them differ.

        Raises:
            CheckpointError: none of them belongs to the network.
        """
        model = self.model.module if is_model_wrapper(self.model) else self.model
        foreign: list[str] = []
        hook = model.register_load_state_dict_post_hook(lambda _, keys: foreign.extend(keys.unexpected_keys))
        try:
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        finally:
            hook.remove()
        weights = checkpoint.get('state_dict', checkpoint)
        if weights and len(foreign) == len(weights):
            raise CheckpointError(
                f'{filename} fits nothing of the network: it has {foreign[0]}, ..., and the network '
                f"{next(iter(model.state_dict()))}, .... To start a backbone from it, give the config's backbone "
                f"init_cfg=dict(type='Pretrained', checkpoint='{filename}', prefix='backbone.') in place of load_from.")
        return checkpoint

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True,
               map_location: Any = 'default') -> None:
        """Resume, and hand the first run's seed to the samplers, which were built before it was known."""
        super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        _apply_seed(self)


def _apply_seed(runner: WeakRunner) -> None:
    sampler = getattr(runner.train_dataloader, 'sampler', None)
    written = (runner.cfg.get('train_dataloader') or {}).get('sampler', {})
    if hasattr(sampler, 'skip') and hasattr(sampler, 'seed') and written.get('seed') is None:
        sampler.seed = runner.base_seed


def _first_slurm_host() -> str:
    import subprocess
    nodes = os.environ.get('SLURM_NODELIST', '127.0.0.1')
    try:
        out = subprocess.run(['scontrol', 'show', 'hostname', nodes], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return nodes
    return out.split()[0]
