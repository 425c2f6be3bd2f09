# MCTformer V1 on ToyWorld, class tokens alone, else as +.
_base_ = './mctformer-plus_toyworld.py'
model = dict(version='v1')
lift = dict(expected=-3.6)  # measured, seed 0
