# MCTformer V2 on ToyWorld, else as +.
_base_ = './mctformer-plus_toyworld.py'
model = dict(version='v2')
lift = dict(expected=10.6)  # measured, seeds 0, 1
