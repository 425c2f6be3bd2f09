# DOEI (an interpretation) in MCTformer V2 on VOC 2012 train_aug: the host's setting, in all blocks.
_base_ = '../mctformer/mctformer-v2_deit-s_1xb64-9.9k_voc12aug.py'
model = dict(backbone=dict(adapter=dict(type='DOEIAdapter', eta=0.5, sigma=1.0, similarity=0.1, gain=0.1)))
