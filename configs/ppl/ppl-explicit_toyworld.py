# PPL, all splits at once (the paper's explicit form), an interpretation (card `ppl`), on ToyWorld.
_base_ = './ppl_toyworld.py'
model = dict(mode='explicit')
lift = dict(expected=-0.6)  # measured, seed 0
