"""Train a config: like mmseg's tools/train.py, and also by name, with users' `mmseg::` bases, and bf16 on CPU."""
import argparse

from mmengine.config import DictAction

from mmseg_weak.apis.train import main_of_tool, train


def parse_args() -> argparse.Namespace:
    """Arguments of mmseg's own script."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument('--resume', action='store_true', help='go on from the newest readable checkpoint')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on GPU, bfloat16 on CPU')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value pairs that override the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='given by the launcher')
    return parser.parse_args()


def main() -> None:
    """Pass the arguments on."""
    args = parse_args()
    train(args.config, work_dir=args.work_dir, resume=args.resume, cfg_options=args.cfg_options, amp=args.amp,
          launcher=args.launcher)


if __name__ == '__main__':
    main_of_tool(main)
