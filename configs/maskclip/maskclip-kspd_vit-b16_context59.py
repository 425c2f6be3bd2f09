# MaskCLIP with prompt denoising and key smoothing, Context59: thresholds of the official config of this set.
_base_ = './maskclip_vit-b16_context59.py'
model = dict(type='MaskCLIPSegmentor', pd_thr=0.5, ks_thr=1.0)
