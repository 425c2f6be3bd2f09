"""Test a checkpoint: like mmseg's tools/test.py, and also by config name and with several processes without a GPU."""
import argparse

from mmengine.config import DictAction

from mmseg_weak.apis.train import main_of_tool, test


def parse_args() -> argparse.Namespace:
    """Arguments of mmseg's own script."""
    parser = argparse.ArgumentParser(description='Test (and evaluate) a segmentor')
    parser.add_argument('config', help='config file, or the name of one of ours')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; none where nothing is trained')
    parser.add_argument('--work-dir', help='folder of logs and results')
    parser.add_argument('--out', help='folder to write the predicted masks to')
    parser.add_argument('--show-dir', help='folder to write painted images to')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value pairs that override the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='given by the launcher')
    return parser.parse_args()


def main() -> None:
    """Pass the arguments on."""
    args = parse_args()
    test(args.config, args.checkpoint, work_dir=args.work_dir, out=args.out, show_dir=args.show_dir, tta=args.tta,
         cfg_options=args.cfg_options, launcher=args.launcher)


if __name__ == '__main__':
    main_of_tool(main)
