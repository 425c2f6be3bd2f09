"""Branches of a training batch."""
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_weak.errors import ConfigError
from mmseg_weak.models.data_preprocessors import MultiBranchDataPreprocessor


def sample(source: str | None, size=(6, 8), label: int = 1) -> SegDataSample:
    out = SegDataSample(metainfo=dict(img_shape=size, **({'source': source} if source else {})))
    if source != 'unsup':
        out.gt_sem_seg = PixelData(data=torch.full((1, *size), label))
    return out


def batch(sources: list, sizes: list | None = None) -> dict:
    sizes = sizes or [(6, 8)] * len(sources)
    return dict(inputs=[torch.full((3, *s), i * 10, dtype=torch.uint8) for i, s in enumerate(sizes)],
                data_samples=[sample(s, z) for s, z in zip(sources, sizes)])


PLAIN = dict(mean=[0, 0, 0], std=[1, 1, 1], size=(6, 8))


def test_branches_partner_and_order():
    out = MultiBranchDataPreprocessor(**PLAIN, partner=True)(batch(['sup', 'unsup', 'unsup', 'unsup', 'unsup']), True)
    assert sorted(out['inputs']) == ['partner', 'partner_valid', 'sup', 'unsup', 'unsup_valid']
    assert out['inputs']['unsup'][:, 0, 0, 0].tolist() == [10, 20]
    assert out['inputs']['partner'][:, 0, 0, 0].tolist() == [30, 40]
    assert all('gt_sem_seg' not in s for s in out['data_samples']['unsup'])


def test_padding_is_black_ignored_and_invalid():
    data = batch(['sup', 'unsup'], [(4, 8), (6, 5)])
    out = MultiBranchDataPreprocessor(mean=[5, 5, 5], std=[2, 2, 2], size=(6, 8))(data, True)
    label = out['data_samples']['sup'][0].gt_sem_seg.data
    assert label.shape == (1, 6, 8) and (label[:, 4:] == 255).all() and (label[:, :4] == 1).all()
    assert out['inputs']['sup'][0, 0, 5, 0].item() == -2.5
    valid = out['inputs']['unsup_valid'][0]
    assert valid[:, :5].all() and not valid[:, 5:].any()


def test_views_keep_geometry_and_channel_order():
    view = dict(type='PhotometricView', jitter_prob=0, grey_prob=0, blur_prob=0)
    pre = MultiBranchDataPreprocessor(mean=[1, 2, 3], std=[2, 2, 2], size=(6, 8), views=dict(strong1=view))
    data = batch(['sup', 'unsup'])
    data['inputs'][1] = torch.arange(144, dtype=torch.uint8).view(3, 6, 8)
    out = pre(data, True)['inputs']
    assert torch.allclose(out['unsup_strong1'], out['unsup'], atol=1e-4)
    assert out['unsup'][0, 0, 0, 0].item() == (96 - 1) / 2  # red is the last channel of a BGR image


def test_validation_batches_are_stock():
    from mmseg.models import SegDataPreProcessor
    data = dict(inputs=[torch.full((3, 6, 8), 7, dtype=torch.uint8)], data_samples=[sample(None)])
    ours = MultiBranchDataPreprocessor(**PLAIN)(data, False)['inputs']
    theirs = SegDataPreProcessor(mean=[0, 0, 0], std=[1, 1, 1], size=(6, 8), bgr_to_rgb=True)(data, False)['inputs']
    assert torch.equal(ours, theirs)


def test_crop_larger_than_size_and_odd_partner():
    with pytest.raises(ConfigError) as error:
        MultiBranchDataPreprocessor(**PLAIN)(batch(['sup', 'unsup'], [(6, 8), (9, 8)]), True)
    assert str(error.value) == ('A training crop is 9x8 pixels and data_preprocessor.size is 6x8; make size equal to '
                                'the crop of the training pipeline.')
    with pytest.raises(ConfigError, match='^3 unlabelled images in a batch cannot be halved'):
        MultiBranchDataPreprocessor(**PLAIN, partner=True)(batch(['sup', 'unsup', 'unsup', 'unsup']), True)
