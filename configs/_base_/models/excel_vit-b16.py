# ExCEL with OpenAI's ViT-B/16 (card `excel`; zwyang6/ExCEL, scripts/train_voc.py). The images are normalised by
# ImageNet's mean and deviation, as there.
model = dict(
    type='ExCEL',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='excel',
        stream='parallel',
        last=5,
        positions='bilinear',
        templates='origami'),
    classes='voc12_tags',
    num_classes=21,
    attributes='{{$MMSEG_WEAK_DATA:data}}/excel/attributes_voc12.json',  # README.md
    num_attributes=112,
    keep=0.9,
    decoder=dict(channels=256, depth=3, num_heads=8, dropout_ratio=0.1),
    share=0.79,
    last=6,
    begin=dict(learn=14000, own=24000),
    radius=8,
    infer_px=320,
    test_cfg=dict(mode='decode', scales=(0.7, 1.0, 1.2, 1.5), flip=True, merge='mean'),
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
