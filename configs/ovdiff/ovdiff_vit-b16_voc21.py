# OVDiff with the key spaces of CLIP and DINO, VOC21; the paper's 66.3 mIoU (recalled) have Stable Diffusion, too.
_base_ = [
    '../_base_/models/ovdiff.py', '../_base_/datasets/open_vocab/voc21.py', '../_base_/default_runtime.py'
]
model = dict(
    names=[
        'airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'table', 'dog', 'horse',
        'motorbike', 'person', 'potted plant', 'sheep', 'sofa', 'train', 'monitor'
    ],
    background='word')  # of which OVDiff makes no use: the background is what lies around objects
