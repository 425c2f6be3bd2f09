# GEM, arXiv 2312.00878: self-self attention beside the last six blocks. The paper has no protocol for masks: sizes are
# its heat maps', the softmax's scale is CLIP's own.
model = dict(
    type='OpenVocabSegmentor',
    clip=dict(
        type='OpenCLIP',
        name='ViT-B-16',
        pretrained='openai',
        attention='gem',
        attention_cfg=dict(iterations=1),
        stream='parallel',
        last=6,
        positions='antialias',
        templates='photo'),
    test_cfg=dict(short_side_px=448, crop_px=0, scale=100.0))
