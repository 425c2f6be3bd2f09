# MCTformer V2 on ToyWorld, else as +.
_base_ = './mctformer-plus_toyworld.py'
model = dict(version='v2')
lift = dict(expected=8.2)  # measured, seed 0
