"""Partitions: nested, covering, counted as published, verified."""
import numpy as np
import pytest

from mmseg_weak.datasets.splits import (
    class_aware_order,
    nested_partitions,
    partition_sizes,
    semivl_order,
    verify_partition,
)
from mmseg_weak.errors import ConfigError, DataError


def test_ade20k_counts_are_the_published_ones():
    assert partition_sizes(20210, [128, 64, 32, 16, 8]) == [158, 316, 632, 1263, 2526]
    names = [f'ADE_train_{i:08d}' for i in range(1, 20211)]
    order = semivl_order(reversed(names))
    assert len(set(order)) == 20210
    assert order[:158] != names[:158]
    assert order == semivl_order(names)


def test_partitions_are_nested_and_divide_the_pool():
    parts = nested_partitions(100, denominators=[16, 8, 4], counts=[3], seed=1)
    assert [(p.name, len(p.labeled)) for p in parts] == [('3', 3), ('1_16', 6), ('1_8', 13), ('1_4', 25)]
    for smaller, larger in zip(parts[:-1], parts[1:], strict=True):
        assert set(smaller.labeled) < set(larger.labeled)
    for part in parts:
        verify_partition(part.labeled, part.unlabeled, range(100))


def test_a_seed_repeats_and_another_differs():
    assert class_aware_order(None, 50, 0) == class_aware_order(None, 50, 0)
    assert class_aware_order(None, 50, 0) != class_aware_order(None, 50, 1)


def test_rare_classes_come_first():
    presence = np.zeros((200, 5), bool)
    presence[:, 0] = True
    presence[:80, 1] = True
    presence[100:103, 2] = True
    presence[150, 3] = True
    presence[151, 4] = True
    for seed in range(5):
        part = nested_partitions(200, counts=[4], presence=presence, seed=seed)[0]
        assert part.missing_classes == []
    few = nested_partitions(200, counts=[2], presence=presence, seed=0)[0]
    assert set(few.labeled) == {150, 151}
    assert few.missing_classes == [1, 2]


@pytest.mark.parametrize('lists, words', [
    ((['a', 'b'], ['b', 'c']), r'1 images are in the labelled and in the unlabelled list \(first: b\)'),
    ((['a', 'a'], ['b', 'c']), r'1 entries of the labelled list are repeated \(first: a\)'),
    ((['a'], ['b']), r'leave out 1 and add 0 images of the pool \(first: c\)'),
    ((['a', 'b'], ['c', 'd']), r'leave out 0 and add 1 images of the pool \(first: d\)'),
])
def test_faults_are_named(lists, words):
    with pytest.raises(DataError, match=words):
        verify_partition(*lists, pool=['a', 'b', 'c'])


def test_impossible_sizes_are_refused():
    with pytest.raises(
        ConfigError, match='A split with 10 labelled images was asked for, but the pool has 10'
    ):
        nested_partitions(10, counts=[10])
    with pytest.raises(ConfigError, match='No split was asked for'):
        nested_partitions(10)
