# ReCo with CRF, Cityscapes, 27 classes: mIoU 19.3, accuracy 74.6 (paper; repository, issue 6).
_base_ = ['../_base_/models/reco.py', '../_base_/datasets/open_vocab/cityscapes27.py', '../_base_/default_runtime.py']
model = dict(names='cityscapes27', index='work_dirs/reco/imagenet.safetensors')
