#!/usr/bin/env python3
"""Train the two tiny towers that mmseg_weak carries for offline use, from images and captions of ToyWorld.

``--vit`` is a vision transformer under 2 MB, the start of every ViT method; ``--clip`` a CLIP under 4 MB that starts
from it. docs/towers.md tells the recipe and what came of it. Killed, it goes on where it last wrote:

    python tools/pretrain_toyworld.py --vit --clip --out work_dirs/towers
"""
import argparse
import sys
from pathlib import Path

import torch


def main() -> int:
    """Draw, train and write; each stage's kept weights are in ``--out`` from its first evaluation on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--vit', action='store_true', help='train the vision transformer')
    parser.add_argument('--clip', action='store_true', help='train the CLIP, from the vision transformer in --out')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/towers'), help='folder of weights and logs')
    parser.add_argument('--cache', type=Path, help='folder of drawn images, 1.3 GB (default: OUT/cache)')
    parser.add_argument('--scenes', type=int, default=12000, help='scenes to draw')
    parser.add_argument('--vit-minutes', type=float, default=25, help="of one core's work, or of a GPU's clock")
    parser.add_argument('--clip-minutes', type=float, default=60, help='likewise')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=1, help='of torch on a CPU; work is counted over all of them')
    args = parser.parse_args()
    if not (args.vit or args.clip):
        parser.error('say --vit, --clip or both')
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    from toyworld_towers.common import run
    cache = args.cache or args.out / 'cache'
    if args.vit:
        from toyworld_towers.vit import ViTStage
        stage = ViTStage(cache, args.device, args.scenes)
        for line in run('toyworld_vit', args.out, args.vit_minutes, args.device, stage):
            print(line, flush=True)
    if args.clip:
        from toyworld_towers.clip import CLIPStage
        stage = CLIPStage(cache, args.device, args.scenes, args.out / 'toyworld_vit.pth')
        for line in run('toyworld_clip', args.out, args.clip_minutes, args.device, stage):
            print(line, flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
