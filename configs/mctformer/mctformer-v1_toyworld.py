# MCTformer V1 on ToyWorld, class tokens alone, else as +.
_base_ = './mctformer-plus_toyworld.py'
model = dict(version='v1')
lift = dict(expected=4.3)  # measured, seeds 0, 1
