# DOEI (an interpretation) in MCTformer V2 on ToyWorld, 600 images with tags.
_base_ = '../mctformer/mctformer-v2_toyworld.py'
model = dict(
    backbone=dict(adapter=dict(type='DOEIAdapter', eta=0.5, sigma=1.0, similarity=0.1, gain=0.1, last_blocks=2)))
lift = dict(baseline='mctformer/mctformer-v2_toyworld.py', measure='seed_mIoU', expected=-1.5)  # measured, seed 0
