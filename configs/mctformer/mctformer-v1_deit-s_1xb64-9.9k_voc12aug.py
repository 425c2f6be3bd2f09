# MCTformer V1 on VOC 2012 train_aug (CVPR 2022): class tokens alone, else as V2.
_base_ = './mctformer-v2_deit-s_1xb64-9.9k_voc12aug.py'
model = dict(version='v1')
