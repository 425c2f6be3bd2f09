"""Pseudo labels at two heights of the background."""
import torch

from mmseg_weak.models.cam import refined_labels
from mmseg_weak.models.refine import PAR


def test_refined_labels_of_a_plain_image():
    cams = torch.zeros(2, 3, 8, 8)
    cams[0, 1] = 0.9
    cams[0, 2, :, 4:] = 0.4  # absent
    present = torch.tensor([[0, 1, 0], [0, 0, 0]])
    labels = refined_labels(cams, torch.zeros(2, 3, 8, 8), present, PAR(2, (1,)),
                            torch.tensor([[0, 8, 0, 6], [0, 8, 0, 8]]))
    assert labels[0, :, :6].eq(2).all() and labels[0, :, 6:].eq(255).all() and labels[1].eq(0).all()
