"""Decoder on the tokens of every block: by hand, CLIP's own block, the number of blocks."""
import pytest
import torch

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.decode_heads import TokenFusion, TokenFusionHead


def test_fusion_by_hand():
    """MLPs that double and cut at zero, a sum as the convolution."""
    fusion = TokenFusion(1, 2, 1, dropout_ratio=0.0)
    for mlp in fusion.mlps:
        for layer, weight in ((0, 1.), (2, 2.)):
            torch.nn.init.constant_(mlp[layer].weight, weight)
            torch.nn.init.zeros_(mlp[layer].bias)
    torch.nn.init.ones_(fusion.fuse.weight)
    torch.nn.init.zeros_(fusion.fuse.bias)
    maps = torch.tensor([[1., -1.]]).view(1, 1, 1, 2), torch.tensor([[3., 5.]]).view(1, 1, 1, 2)
    assert fusion(maps).flatten().tolist() == [8., 10.]
    with pytest.raises(ConfigError, match='1 blocks of tokens came to a TokenFusion of 2'):
        fusion(maps[:1])


def test_blocks_are_clips():
    """One block has the numbers of open_clip's with the same weights, and everything learns."""
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock
    head = TokenFusionHead(3, 4, 2, 8, 0.0, depth=1, num_heads=2).eval()
    block = ResidualAttentionBlock(8, 2, act_layer=QuickGELU).eval()
    ours = head.blocks[0]
    pairs = {'ln_1': ours.norm1, 'ln_2': ours.norm2, 'attn': ours.self_attn, 'mlp.c_fc': ours.linear1,
             'mlp.c_proj': ours.linear2}
    for name, module in pairs.items():
        block.get_submodule(name).load_state_dict(module.state_dict())
    x = torch.randn(2, 6, 8)
    torch.testing.assert_close(ours(x), block(x), rtol=1e-4, atol=1e-5)
    logits, fused = head([torch.randn(2, 4, 2, 3) for _ in range(2)])
    assert logits.shape == (2, 3, 2, 3) and fused.shape == (2, 8, 2, 3)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in head.named_parameters()
               if not n.endswith('in_proj_bias'))
