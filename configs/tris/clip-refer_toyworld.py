# The tiny CLIP and sentences, without training: the baseline of TRIS in docs/lift.md. MaskCLIP's values, since CLIP's
# own last block finds nothing.
_base_ = [
    '../_base_/models/open_vocab/maskclip.py', '../_base_/datasets/open_vocab/toyworld_referring.py',
    '../_base_/default_runtime.py'
]
model = dict(
    type='ReferringCLIP',
    clip=dict(name='toyworld_clip', pretrained='toyworld', templates='name'),
    names=['referred'],
    background='toyworld',
    test_cfg=dict(short_side_px=128, crop_px=0))
