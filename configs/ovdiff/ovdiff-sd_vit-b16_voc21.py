# OVDiff with all three feature spaces, VOC21: 66.3 mIoU, recalled from the paper. Needs diffusers and Stable Diffusion
# 1.5 on this machine.
_base_ = './ovdiff_vit-b16_voc21.py'
sd = 'pretrained/stable-diffusion-v1-5'
model = dict(
    index='work_dirs/ovdiff-sd/prototypes.safetensors',
    extractors=[
        dict(type='DiffusionQueries', model=sd, timestep=200, layers=(0, 6, 7, 8, 9, 10, 11, 12, 15)),
        *_base_.model['extractors']
    ])
