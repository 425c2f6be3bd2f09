# OVDiff on ToyWorld: support pictures are training images tagged with the class, the tiny CLIP gives heat and keys, the
# tiny ViT stands for DINO; without published figure. `mmseg-weak index ovdiff ovdiff_toyworld` first.
_base_ = [
    '../_base_/models/ovdiff.py', '../_base_/datasets/open_vocab/toyworld.py', '../_base_/default_runtime.py'
]
archive = dict(type='ToyWorldDataset', num_images=600, split='train', supervision=('tags', ))
model = dict(
    index='work_dirs/ovdiff_toyworld/prototypes.safetensors',
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    extractors=[
        dict(type='CLIPKeys', layer=-2, size_px=128),
        dict(
            type='ViTKeys',
            backbone=dict(
                type='TimmViT',
                model_name='toyworld_vit',
                out_indices=(5, ),
                checkpoint='mmseg_weak://toyworld_vit.pth',
                frozen=True),
            short_side_px=128,
            long_side_px=128)
    ],
    names='toyworld',
    background='word',
    windows=((96, 32), ),
    support_px=128,
    clip_px=128,
    test_cfg=dict(short_side_px=128))
needs = dict(
    steps=[['index', 'ovdiff', 'ovdiff_toyworld', '--out', '{folder}/prototypes.safetensors']],
    options={'model.index': '{folder}/prototypes.safetensors'})
lift = dict(baseline='clip/clip_toyworld.py', measure='mIoU', expected=8.4)  # measured, seed 0
