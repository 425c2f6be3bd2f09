# OVDiff with the key spaces of CLIP and DINO, Context60; the 29.7 mIoU (recalled) are with Stable Diffusion. What
# is stuff: as the repository's language model said.
_base_ = [
    '../_base_/models/ovdiff.py', '../_base_/datasets/open_vocab/context60.py', '../_base_/default_runtime.py'
]
model = dict(
    names='context59',
    background='word',
    stuff=('bedclothes', 'ceiling', 'cloth', 'curtain', 'fence', 'floor', 'grass', 'ground', 'mountain', 'platform',
           'road', 'rock', 'sidewalk', 'sky', 'snow', 'track', 'wall', 'water', 'wood'))
