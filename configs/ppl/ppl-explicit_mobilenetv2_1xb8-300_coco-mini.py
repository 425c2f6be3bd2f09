# PPL, all splits at once (the paper's explicit form), an interpretation (card `ppl`).
_base_ = './ppl_mobilenetv2_1xb8-300_coco-mini.py'
model = dict(mode='explicit')
