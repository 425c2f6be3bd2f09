# ToyWorld as docs/lift.md has it: its 100 validation images of 128x128, ground and seven classes.
_base_ = './base.py'
test_dataloader = dict(
    batch_size=20,  # all images are equally large
    num_workers=1,
    dataset=dict(type='ToyWorldDataset', num_images=100, split='val'))
