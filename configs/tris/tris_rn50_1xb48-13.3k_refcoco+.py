# TRIS, stage 1, RefCOCO+; as many iterations as on RefCOCO.
_base_ = './tris_rn50_1xb48-13.3k_refcoco.py'
files = dict(refs='refer/refcoco+/refs(unc).json', instances='refer/refcoco+/instances.json')
train_dataloader = dict(dataset=dict(dataset=files))
val_dataloader = dict(dataset=files)
test_dataloader = val_dataloader
