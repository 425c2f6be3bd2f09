"""DPT on plain maps."""
import torch
from mmseg.models.decode_heads import DPTHead

from mmseg_weak.models.decode_heads import DPTMapHead

ARGS = dict(in_channels=[8] * 4, in_index=[0, 1, 2, 3], input_transform='multiple_select', embed_dims=8, channels=6,
            post_process_channels=[4, 4, 8, 8], num_classes=3, norm_cfg=None, dropout_ratio=0)


def test_equals_mmsegs_head_with_tokens_ignored():
    ours, theirs = DPTMapHead(**ARGS).eval(), DPTHead(readout_type='ignore', **ARGS).eval()
    theirs.load_state_dict(ours.state_dict())
    maps = [torch.randn(1, 8, 4, 6) for _ in range(4)]
    out = ours(maps)
    assert out.shape == (1, 3, 32, 48)
    assert torch.equal(out, theirs([(m, torch.randn(1, 8)) for m in maps]))
