"""Multi-scale CAMs: both flip rules by hand, batch = samples, present classes, sizes."""
import pytest
import torch
import torch.nn.functional as F

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import multi_scale as m

G = torch.Generator().manual_seed(0)
IMAGE = torch.randn(3, 3, 32, 40, generator=G)
KERNEL = torch.randn(5, 3, 1, 1, generator=G)


def network(x):
    return F.conv2d(F.avg_pool2d(x, 8), KERNEL) + torch.linspace(-1, 1, x.shape[-1] // 8)  # not flip-symmetric


def published(image, scales, flip, size):
    """As the scripts do it: everything enlarged, one image after the other."""
    out = []
    for one in image:
        total = 0
        for scale in scales:
            view = F.interpolate(one[None], [int(scale * n) for n in image.shape[-2:]], mode='bilinear')
            a, b = (F.interpolate(network(v), size, mode='bilinear') for v in (view, view.flip(-1)))
            if flip == 'max':
                total = total + torch.maximum(a, b.flip(-1)).relu()
            else:
                low_a, low_b = network(view).relu(), network(view.flip(-1)).relu().flip(-1)
                total = total + F.interpolate(low_a, size, mode='bilinear') + F.interpolate(low_b, size,
                                                                                            mode='bilinear')
        out.append(total)
    return torch.cat(out)


@pytest.mark.parametrize('flip', ['sum', 'max'])
def test_as_published_and_for_present_classes_alone(flip):
    scales, size = (1, 0.5, 1.5), (32, 40)
    want = published(IMAGE, scales, flip, size)
    torch.testing.assert_close(m.multi_scale_cam(network, IMAGE, scales, flip), want)
    present = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).bool()
    found = m.multi_scale_cam(network, IMAGE, scales, flip, present=present)
    torch.testing.assert_close(found, want * present[:, :, None, None])


def test_one_pixel_by_hand():
    maps = [torch.tensor([[[[1., -3.]]], [[[2., -1.]]]])]  # the mirror image's map, mirrored: (-1, 2)
    assert m.merge_scales(maps, (1, 2), 'sum').tolist() == [[[[1, 2]]]]
    assert m.merge_scales(maps, (1, 2), 'max').tolist() == [[[[1, 2]]]]
    assert m.merge_scales([maps[0] + 2], (1, 2), 'sum').tolist() == [[[[4, 4]]]]
    assert m.merge_scales([maps[0] + 2], (1, 2), 'max').tolist() == [[[[3, 4]]]]


def test_one_call_a_scale_and_sizes():
    seen = []

    def watch(x):
        seen.append(tuple(x.shape))
        return x[:, :1, ::8, ::8]
    m.scale_maps(watch, IMAGE, (1, 0.5, 1.3), multiple=16)
    assert seen == [(6, 3, 32, 32), (6, 3, 16, 16), (6, 3, 48, 48)]
    seen.clear()
    m.scale_maps(watch, IMAGE, (0.33,), flip=False, rounding='ceil')
    assert seen == [(3, 3, 11, 14)]
    assert m.multi_scale_cam(watch, IMAGE, (1,), size=m.strided_size((32, 40), 3), stride=16).shape == (3, 1, 11, 14)


def test_cut_after_rounding_up():
    maps = m.scale_maps(network, IMAGE, (1,))
    whole = m.merge_scales(maps, (48, 48))
    assert torch.equal(m.merge_scales(maps, (37, 41), stride=16), whole[..., :37, :41])


def test_bad_settings():
    with pytest.raises(ConfigError, match=r'^scales=\[0\] of a multi-scale CAM; give numbers above 0\.$'):
        m.multi_scale_cam(network, IMAGE, [0])
    with pytest.raises(ConfigError, match=r"^flip='mean' of a multi-scale CAM is none of sum, max, none\.$"):
        m.multi_scale_cam(network, IMAGE, [1], flip='mean')
    with pytest.raises(ConfigError, match=r"^rounding='up' of a multi-scale CAM is none of floor, round, ceil\.$"):
        m.multi_scale_cam(network, IMAGE, [1], rounding='up')
