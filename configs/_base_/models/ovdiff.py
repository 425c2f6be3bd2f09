# OVDiff, arXiv 2306.09316: prototypes in the key spaces of CLIP ViT-B/16 and DINO ViT-B/8; `ovdiff-sd` configs add the
# queries of Stable Diffusion. `dino` is a local file, the authors' dino_vitbase8_pretrain.pth; None has random weights.
dino = 'pretrained/dino_vitbase8_pretrain.pth'
sampler = dict(model='pretrained/stable-diffusion-v1-5')  # for `mmseg-weak index ovdiff CONFIG --draw FOLDER`
model = dict(
    type='OVDiff',
    index='work_dirs/ovdiff/prototypes.safetensors',
    clip=dict(
        type='OpenCLIP', name='ViT-B-16', pretrained='openai', attention='value', positions='size', templates='photo'),
    extractors=[
        dict(type='CLIPKeys', layer=-2, size_px=448),
        dict(
            type='ViTKeys',
            backbone=dict(
                type='TimmViT', model_name='vit_base_patch8_224', out_indices=(11, ), checkpoint=dino, frozen=True))
    ],
    windows=((448, 224), (336, 224)),
    count=32,
    num_parts=32,
    top=10,
    bg_thr=0.85,
    test_cfg=dict(short_side_px=448))
