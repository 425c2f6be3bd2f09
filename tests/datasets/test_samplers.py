"""Samplers: batches by hand, ranks, skipping, partners, errors."""
import itertools
import pickle

import pytest

from mmseg_weak.datasets import samplers
from mmseg_weak.datasets.samplers import MultiSourceSampler, RunIndex, RunSampler
from mmseg_weak.errors import ConfigError


class Sources:
    """Stand-in for a concat dataset."""

    def __init__(self, *lengths):
        self.source_lengths = list(lengths)

    def __len__(self):
        return sum(self.source_lengths)


def take(sampler, count):
    return list(itertools.islice(iter(sampler), count))


def as_rank(monkeypatch, rank, world):
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, world))


def keys(indices):
    return [(int(i), i.draw_seed, i.position) for i in indices]


def test_batches_hold_the_ratio_and_labelled_come_first():
    drawn = take(MultiSourceSampler(Sources(5, 40), batch_size=4, source_ratio=[1, 3], seed=0), 40)
    for start in range(0, 40, 4):
        batch = drawn[start:start + 4]
        assert batch[0] < 5
        assert all(i >= 5 for i in batch[1:])


def test_an_epoch_shows_every_image_once():
    drawn = take(MultiSourceSampler(Sources(3, 12), batch_size=4, source_ratio=[1, 3], seed=1), 16)
    assert sorted(i for i in drawn if i >= 3) == list(range(3, 15))


def test_two_ranks_together_equal_one(monkeypatch):
    make = dict(source_ratio=[1, 2], seed=7, partner='other')
    alone = MultiSourceSampler(Sources(10, 30), batch_size=12, **make)
    whole = [keys(alone.batch(n)) for n in range(8)]
    halves = []
    for rank in range(2):
        as_rank(monkeypatch, rank, 2)
        half = MultiSourceSampler(Sources(10, 30), batch_size=6, **make)
        halves.append([keys(half.batch(n)) for n in range(8)])
    for n in range(8):
        first, second = halves[0][n], halves[1][n]
        assert not set(first) & set(second)
        # labelled (2 each), own (2 each), partners (2 each)
        joined = first[:2] + second[:2] + first[2:4] + second[2:4] + first[4:] + second[4:]
        assert joined == whole[n]


def test_run_sampler_two_ranks_together_equal_one(monkeypatch):
    whole = keys(take(RunSampler(list(range(9)), seed=3), 40))
    parts = []
    for rank in range(2):
        as_rank(monkeypatch, rank, 2)
        parts.append(keys(take(RunSampler(list(range(9)), seed=3), 20)))
    assert [key for pair in zip(*parts, strict=True) for key in pair] == whole


@pytest.mark.parametrize('skipped', [0, 6, 13])
def test_skip_equals_replay(skipped):
    def make():
        return MultiSourceSampler(Sources(4, 9), batch_size=6, source_ratio=[1, 2], seed=5, partner='other')
    jumped = make()
    jumped.skip(skipped)
    assert keys(take(jumped, 30)) == keys(take(make(), skipped + 30)[skipped:])


def test_seed_set_later_counts():
    late = MultiSourceSampler(Sources(4, 9), batch_size=4, source_ratio=[1, 1], seed=5)
    take(late, 8)
    late.seed = 6
    assert keys(take(late, 20)) == keys(take(MultiSourceSampler(Sources(4, 9), 4, [1, 1], seed=6), 20))


def test_partner_other_is_never_the_same_image():
    sampler = MultiSourceSampler(Sources(2, 3), batch_size=6, source_ratio=[1, 2], seed=0, partner='other')
    for number in range(100):
        batch = sampler.batch(number)
        assert all(own != other for own, other in zip(batch[2:4], batch[4:6], strict=True))


def test_partner_same_image_is_the_same_with_other_draws():
    sampler = MultiSourceSampler(
        Sources(2, 7), batch_size=6, source_ratio=[1, 2], seed=0, partner='same_image'
    )
    for number in range(20):
        batch = sampler.batch(number)
        assert [int(i) for i in batch[2:4]] == [int(i) for i in batch[4:6]]
        assert all(a.draw_seed != b.draw_seed for a, b in zip(batch[2:4], batch[4:6], strict=True))


def test_iters_per_epoch_counts_own_unlabelled(monkeypatch):
    assert MultiSourceSampler(Sources(4, 321), 8, [1, 1], seed=0).iters_per_epoch == 81
    assert MultiSourceSampler(Sources(4, 321), 12, [1, 2], seed=0, partner='other').iters_per_epoch == 81
    as_rank(monkeypatch, 0, 2)
    assert MultiSourceSampler(Sources(4, 321), 8, [1, 1], seed=0).iters_per_epoch == 41
    assert RunSampler(list(range(9)), seed=0, batch_size=2).iters_per_epoch == 3


def test_batch_of_two_at_three_to_one_is_refused_with_the_remedy():
    with pytest.raises(ConfigError) as error:
        MultiSourceSampler(Sources(4, 9), batch_size=2, source_ratio=[3, 1], seed=0)
    assert str(error.value) == (
        'train_dataloader.sampler: batch_size=2 at source_ratio=[3, 1] gives [2, 0] images per '
        'source; raise batch_size to at least 4 so that every source gets one.'
    )


@pytest.mark.parametrize('arguments, words', [
    (dict(batch_size=4, source_ratio=[1]), 'source_ratio has 1 numbers'),
    (dict(batch_size=4, source_ratio=[1, 0]), 'must be positive'),
    (dict(batch_size=4, source_ratio=[1, 3], partner='other'), 'it has 3 images; make it even'),
    (dict(batch_size=4, source_ratio=[1, 1], partner='both'), "partner='both' is unknown"),
])
def test_bad_settings_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words.replace('[', r'\[')):
        MultiSourceSampler(Sources(4, 9), seed=0, **arguments)


def test_run_index_survives_pickling_and_indexes_a_list():
    index = pickle.loads(pickle.dumps(RunIndex(2, 99, 7)))
    assert (index, index.draw_seed, index.position) == (2, 99, 7)
    assert 'abc'[index] == 'c'
