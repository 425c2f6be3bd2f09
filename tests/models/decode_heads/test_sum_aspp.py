"""DeepLabV2's head against its definition."""
import torch
from mmseg.registry import MODELS


def test_branches_are_added_up():
    head = MODELS.build(dict(type='SumASPPHead', in_channels=4, channels=6, num_classes=3, dilations=(1, 2, 3),
                             in_index=1, dropout_ratio=0.0, norm_cfg=dict(type='BN'))).eval()
    maps = [torch.randn(2, 4, 9, 9), torch.randn(2, 4, 7, 8)]
    branches = [branch(maps[1]) for branch in head.aspp_modules]
    assert [branch.conv.kernel_size[0] for branch in head.aspp_modules] == [1, 3, 3]
    assert [branch.conv.dilation[0] for branch in head.aspp_modules] == [1, 2, 3]
    torch.testing.assert_close(head(maps), head.conv_seg(branches[0] + branches[1] + branches[2]))
