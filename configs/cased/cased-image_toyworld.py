# CaSED on ToyWorld, one word for the whole image, out of the captions of its training images: the baseline of its dense
# form in docs/lift.md. `mmseg-weak index cased cased_toyworld` first.
_base_ = [
    '../_base_/models/cased.py', '../_base_/datasets/open_vocab/toyworld.py', '../_base_/default_runtime.py'
]
captions = None
archive = dict(type='ToyWorldDataset', num_images=600, split='train', supervision=('caption', ))
model = dict(
    mode='image',
    index='work_dirs/cased_toyworld/captions.safetensors',
    clip=dict(name='toyworld_clip', pretrained='toyworld'),
    test_cfg=dict(crop_px=64, image_px=128))  # the tower has seen crops of 32 to 128 pixels
test_evaluator = dict(
    _delete_=True,
    type='VocabularyFreeIoU',
    names='toyworld',
    background='toyworld',
    encoder=dict(_base_.model['clip'], name='toyworld_clip', pretrained='toyworld'))
needs = dict(
    steps=[['index', 'cased', 'cased_toyworld', '--out', '{folder}/captions.safetensors']],
    options={'model.index': '{folder}/captions.safetensors'})
