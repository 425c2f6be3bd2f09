# ReCo on ToyWorld: its training images are the bank, the tiny ViT stands for DeiT-SIN, the tiny CLIP for both CLIPs;
# without published figure. `mmseg-weak index reco reco_toyworld` first.
_base_ = [
    '../_base_/models/reco.py', '../_base_/datasets/open_vocab/toyworld.py', '../_base_/default_runtime.py'
]
archive = dict(_delete_=True, type='ToyWorldDataset', num_images=600, split='train', supervision=())
model = dict(
    clip=dict(name='toyworld_clip', pretrained='toyworld', positions='size'),
    encoder=dict(model_name='toyworld_vit', out_indices=(5, ), checkpoint='mmseg_weak://toyworld_vit.pth'),
    retrieval=None,
    contexts=('meadow', 'water', 'tiles', 'sand'),
    picture_px=128,
    names='toyworld',
    background='toyworld',
    index='work_dirs/reco_toyworld/index.safetensors',
    crf=None,
    test_cfg=dict(short_side_px=128, multiple_px=8))
needs = dict(
    steps=[['index', 'reco', 'reco_toyworld', '--out', '{folder}/index.safetensors']],
    options={'model.index': '{folder}/index.safetensors'})
lift = dict(baseline='clip/clip_toyworld.py', measure='mIoU', expected=10.0)  # measured, seed 0
