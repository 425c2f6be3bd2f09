# ProxyCLIP, arXiv 2408.04883: DINO's affinities mix the values of the last block, without residual and FFN.
# `dino` is a local file, the authors' dino_vitbase8_pretrain.pth or timm's; None has random weights.
dino = 'pretrained/dino_vitbase8_pretrain.pth'
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='proxyclip',
        attention_cfg=dict(beta=1.2, gamma=3.0),
        residual=False,
        ffn=False,
        positions='offset'),
    proxy=dict(type='TimmViT', model_name='vit_base_patch8_224', out_indices=(11, ), checkpoint=dino, frozen=True),
    test_cfg=dict(short_side_px=336, crop_px=336, stride_px=112, multiple_px=56, scale=40.0))
