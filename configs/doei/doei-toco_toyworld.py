# DOEI (an interpretation) in ToCo on ToyWorld, 600 images with tags. Only patches change: there is one class token.
_base_ = '../toco/toco_toyworld.py'
model = dict(
    backbone=dict(adapter=dict(type='DOEIAdapter', eta=0.5, sigma=1.0, similarity=0.1, gain=0.1, last_blocks=2)))
lift = dict(baseline='toco/toco_toyworld.py', measure='seed_mIoU', expected=-5.7)  # measured, seed 0
