# CLIP-ES with OpenAI's ViT-B/16 (card `clip_es`; linyq2117/CLIP-ES, generate_cams_voc12.py): nothing is trained.
model = dict(
    type='CLIPES',
    clip=dict(type='OpenCLIP', name='ViT-B-16', pretrained='openai', positions='bilinear', templates='origami'),
    classes='voc12_tags',
    num_classes=21,
    share=0.4,
    last=8,
    seed=dict(background='power', thr=1.0),
    data_preprocessor=dict(
        type='MultiBranchDataPreprocessor',
        mean=(122.7709383, 116.7460125, 104.09373615),  # CLIP's
        std=(68.5005327, 66.6321579, 70.32316305)))
