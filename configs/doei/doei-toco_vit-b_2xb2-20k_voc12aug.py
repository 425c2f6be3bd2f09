# DOEI (an interpretation) in ToCo on VOC 2012 train_aug: the host's setting, in all blocks.
_base_ = '../toco/toco_vit-b_2xb2-20k_voc12aug.py'
model = dict(backbone=dict(adapter=dict(type='DOEIAdapter', eta=0.5, sigma=1.0, similarity=0.1, gain=0.1)))
