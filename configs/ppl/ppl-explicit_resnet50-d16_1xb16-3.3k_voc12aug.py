# PPL, all splits at once (the paper's explicit form), an interpretation (card `ppl`).
_base_ = './ppl_resnet50-d16_1xb16-3.3k_voc12aug.py'
model = dict(mode='explicit')
