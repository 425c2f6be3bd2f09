# ReCo, arXiv 2206.07045: DeiT-S/16 trained on Stylized ImageNet, dense CLIP RN50x16, retrieval by ViT-L/14@336px.
# `encoder` is a local file, the authors' deit_s_sin_dist checkpoint; None has random weights.
encoder = 'pretrained/deit_s_sin_dist.pth'
archive = dict(type='UnlabeledDataset', images='{{$MMSEG_WEAK_DATA:data}}/imagenet/train')  # 1.28 million images
model = dict(
    type='ReCo',
    clip=dict(type='OpenCLIP', name='RN50x16', pretrained='openai', attention='value', templates='maskclip'),
    encoder=dict(
        type='TimmViT', model_name='deit_small_distilled_patch16_224', out_indices=(11, ), checkpoint=encoder),
    retrieval=dict(type='OpenCLIP', name='ViT-L-14-336', pretrained='openai', templates='maskclip'),
    contexts=('tree', 'sky', 'building', 'road', 'person'),
    count=50,
    picture_px=224,
    crf=dict(type='DenseCRF', preset='deeplab'),
    test_cfg=dict(short_side_px=320, crop_px=0, multiple_px=32))
