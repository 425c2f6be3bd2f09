# TRIS, arXiv 2308.14575, stage 1: CLIP's ResNet-50 is trained further, ViT-B/32 judges. Images with CLIP's statistics;
# the published code has ImageNet's.
preprocessor = dict(
    type='MultiBranchDataPreprocessor',
    mean=(122.7709383, 116.7460125, 104.09373615),
    std=(68.5005327, 66.6321579, 70.32316305))
model = dict(
    type='TRIS',
    clip=dict(type='OpenCLIP', name='RN50', pretrained='openai', attention='value', templates='name', cache_dir=None),
    judge=dict(type='OpenCLIP', name='ViT-B-32', pretrained='openai', templates='name', cache_dir=None),
    head=dict(channels=1024),
    num_tokens=20,
    data_preprocessor=preprocessor)
