"""bfloat16 on CPU."""
import pytest
import torch

from mmseg_weak.engine import WeakAmpOptimWrapper
from mmseg_weak.errors import ConfigError

cpu = pytest.mark.skipif(torch.cuda.is_available(), reason='CPU behaviour; on GPU the stock wrapper does the work')


def _wrapper(**kwargs):
    layer = torch.nn.Linear(2, 1, bias=False)
    return layer, WeakAmpOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.5), **kwargs)


@cpu
def test_forward_is_bfloat16_and_weights_stay_float32():
    layer, wrapper = _wrapper()
    before = layer.weight.detach().clone()
    with wrapper.optim_context(layer):
        out = layer(torch.tensor([[1., 2.]]))
        assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    # d(sum)/dw is the input: one step of 0.5 takes off 0.5 and 1
    torch.testing.assert_close(layer.weight, before - torch.tensor([[0.5, 1.0]]))
    state = wrapper.state_dict()
    _, again = _wrapper()
    again.load_state_dict(state)
    assert again.optimizer.param_groups[0]['lr'] == 0.5


@cpu
def test_float16_needs_a_gpu():
    with pytest.raises(ConfigError, match=r"^optim_wrapper\.dtype='float16' needs a GPU; on CPU use 'bfloat16', or "
                                          r"type='OptimWrapper' for full precision\.$"):
        _wrapper(dtype='float16')
