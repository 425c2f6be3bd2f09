"""Poolings and the classifier over them, by hand."""
import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.cam import pool_maps, ranked_pool


def test_pooling_by_hand():
    maps = torch.tensor([[[[1., 4.], [3., 2.]]]])
    assert [float(pool_maps(maps, p, topk_ratio=0.5)) for p in ('gap', 'gmp', 'topk')] == [2.5, 4, 3.5]
    assert float(pool_maps(maps, 'ranked', decay=0.5)) == pytest.approx((8 * 4 + 4 * 3 + 2 * 2 + 1) / 15)
    assert ranked_pool(maps, 1.0) == 2.5 and ranked_pool(maps, 0.0) == 4
    with pytest.raises(ConfigError, match=r"^pooling='mean' of class maps is none of gap, gmp, topk, ranked\.$"):
        pool_maps(maps, 'mean')


def classifier(**options):
    head = MODELS.build(dict(type='PooledClassifier', in_channels=2, num_classes=1, **options))
    head.classifier.weight.data = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    return head


@pytest.mark.parametrize('pooling,features,maps', [('gmp', 2 * 5 + 3 * 3, 11), ('gap', 9, 9), ('topk', 19, 11),
                                                   ('ranked', 2 * 11 / 3 + 5, 29 / 3)])
def test_pooled_classifier(pooling, features, maps):
    x = torch.tensor([[1.0, 5.0], [3.0, -1.0]]).view(1, 2, 1, 2)  # class map 11, 7
    head = classifier(pooling=pooling, topk_ratio=0.5, decay=0.5)
    assert head(x).item() == pytest.approx(features)
    assert classifier(pooling=pooling, over='maps', topk_ratio=0.5, decay=0.5)(x).item() == pytest.approx(maps)
    assert head.cam(x).flatten().tolist() == [11, 7] and not head.cam(x).requires_grad


@pytest.mark.parametrize('key,value,known', [('pooling', 'max', 'gap, gmp, topk, ranked'),
                                             ('over', 'both', 'features, maps')])
def test_unknown_names(key, value, known):
    with pytest.raises(ConfigError) as error:
        classifier(**{key: value})
    assert str(error.value) == f"{key}='{value}' of PooledClassifier is none of {known}."
