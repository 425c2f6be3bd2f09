# DenseCaSED on ToyWorld, in words of the captions of its training images; without published figure.
# `mmseg-weak index cased cased_toyworld` first.
_base_ = './cased-image_toyworld.py'
model = dict(mode='dense')
lift = dict(baseline='cased/cased-image_toyworld.py', measure='nearest_mIoU', expected=20.9)  # measured, seed 0
