# ReCo with CRF, COCO-Stuff, 27 classes: mIoU 26.3, accuracy 46.1, recalled from the paper.
_base_ = ['../_base_/models/reco.py', '../_base_/datasets/open_vocab/coco_stuff27.py', '../_base_/default_runtime.py']
model = dict(names='coco_stuff27', index='work_dirs/reco/imagenet.safetensors')
