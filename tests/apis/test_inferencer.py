"""The inferencer against mmseg's own, and on images of any size."""
import numpy as np
import pytest
import torch

from mmseg_weak.apis.checkpoints import read_checkpoint
from mmseg_weak.apis.inferencer import SegInferencer, _tiles
from mmseg_weak.errors import CheckpointError, ConfigError, MissingFileError


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize('resize', ['', "dict(type='Resize', scale=(40, 24), keep_ratio=True),"])
def test_equals_mmseg(make_model, resize):
    from mmseg.apis import inference_model
    config, checkpoint = make_model(resize=resize)
    ours = SegInferencer(config, checkpoint, device='cpu')
    image = noise(48, 64)
    model = ours.model
    model.cfg = ours.cfg.copy()
    model.cfg.test_pipeline = [dict(type='LoadImageFromFile'),
                               *([dict(type='Resize', scale=(40, 24), keep_ratio=True)] if resize else []),
                               dict(type='PackSegInputs')]
    theirs = inference_model(model, image)
    prediction = ours(image)
    assert (prediction.mask == theirs.pred_sem_seg.data[0].numpy()).all()
    assert np.allclose(prediction.confidence, theirs.seg_logits.data.softmax(0).amax(0).numpy(), atol=1e-6)
    assert ours.classes == ['sky', 'road', 'car'] and ours.palette[1] == [4, 5, 6]


@pytest.mark.parametrize('size', [(1, 1), (1, 90), (33, 5), (31, 31)])
def test_tiny_images_keep_their_size(make_model, size):
    prediction = SegInferencer(*make_model(), device='cpu')(noise(*size))
    assert prediction.mask.shape == prediction.confidence.shape == size
    assert prediction.mask.max() < 3 and 1 / 3 - 1e-6 <= prediction.confidence.min() <= prediction.confidence.max() <= 1


@pytest.mark.parametrize('length, side, overlap', [(10, 10, 2), (11, 10, 2), (100, 17, 3), (7, 10, 2), (64, 16, 0)])
def test_tiles_cover_everything_once(length, side, overlap):
    covered = np.zeros(length, int)
    for begin, end, (first, last) in _tiles(length, side, overlap):
        assert end - begin == min(side, length) and begin <= first < last <= end
        assert (first == 0 or first - begin >= overlap) and (last == length or end - last >= overlap)
        covered[first:last] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize('resize', ['', "dict(type='Resize', scale=(160, 160), keep_ratio=True),"])
def test_huge_images_in_tiles_equal_one_pass(make_model, resize):
    """A net of small receptive field sees the same in a tile: the middle of each agrees with the whole image."""
    config, checkpoint = make_model(resize=resize)
    image = np.kron(noise(16, 20), np.ones((16, 16, 1), np.uint8))
    whole = SegInferencer(config, checkpoint, device='cpu')(image)
    tiled = SegInferencer(config,
                          checkpoint,
                          device='cpu',
                          max_pixels=10_000,
                          tile_px=160 if not resize else 256,
                          overlap_px=64)(image)
    assert tiled.mask.shape == image.shape[:2]
    assert (tiled.mask == whole.mask).mean() > 0.95
    assert np.abs(tiled.confidence - whole.confidence).mean() < 0.02


def test_student_and_plain_predict_alike(make_model):
    config, checkpoint = make_model(semi=True)
    inferencer = SegInferencer(config, checkpoint, device='cpu')
    student = inferencer.model.student
    sample = inferencer.model.data_preprocessor(
        dict(inputs=[torch.from_numpy(noise(32, 32).transpose(2, 0, 1).copy())]))
    with torch.no_grad():
        logits = student.encode_decode(sample['inputs'], [dict(ori_shape=(32, 32), img_shape=(32, 32))])
    assert (inferencer(noise(32, 32)).mask == logits.argmax(1)[0].numpy()).all()


def test_other_classes_are_refused(make_model):
    config, checkpoint = make_model(classes=('sky', 'water', 'car'))
    with pytest.raises(CheckpointError) as error:
        SegInferencer(config, checkpoint, device='cpu')
    assert str(error.value) == (
        f"{checkpoint} was trained on 3 classes and the config names 3; the first difference is class 1: 'water' in "
        f"the "
        f"checkpoint, 'road' in the config. Use the config that the checkpoint was trained with")


def test_other_models_are_refused(make_model, tmp_path):
    config, checkpoint = make_model()
    content = torch.load(checkpoint, weights_only=True)
    weights = content['state_dict']
    first = next(iter(weights))
    torch.save({**content, 'state_dict': {**weights, first: torch.zeros(1)}}, tmp_path / 'shape.pth')
    with pytest.raises(CheckpointError) as error:
        SegInferencer(config, tmp_path / 'shape.pth', device='cpu')
    assert str(error.value) == (
        f'{tmp_path}/shape.pth does not fit the config: 1 weights differ in shape, the first is {first}, (1,) in the '
        f'checkpoint and {tuple(weights[first].shape)} in the model; use the config that it was trained with')
    gone = {key: value for key, value in weights.items() if not key.startswith('decode_head.conv_seg')}
    torch.save({**content, 'state_dict': gone}, tmp_path / 'gone.pth')
    count = sum(1 for _ in weights)
    with pytest.raises(CheckpointError) as error:
        SegInferencer(config, tmp_path / 'gone.pth', device='cpu')
    assert str(error.value) == (
        f'{tmp_path}/gone.pth does not fit the config: 2 of {count} weights are missing, the first is '
        f'decode_head.conv_seg.weight; use the config that it was trained with')


class _Evil:
    def __reduce__(self):
        import os
        return os.system, ('touch /nonexistent/never',)


def test_unsafe_and_damaged_checkpoints(make_model, tmp_path):
    torch.save(dict(state_dict=_Evil()), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match='evil.pth'):
        read_checkpoint(tmp_path / 'evil.pth')
    _, checkpoint = make_model()
    (tmp_path / 'cut.pth').write_bytes(checkpoint.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match='cut.pth'):
        read_checkpoint(tmp_path / 'cut.pth')
    with pytest.raises(MissingFileError) as error:
        read_checkpoint(tmp_path / 'sub' / 'none.pth')
    assert str(error.value) == f'there is no checkpoint {tmp_path}/sub/none.pth'
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(tmp_path / 'list.pth')
    assert str(error.value) == f'{tmp_path}/list.pth holds a list, not a dict of weights; save `model.state_dict()`'


def test_config_without_a_model(tmp_path):
    (tmp_path / 'data.py').write_text('a = 1\n')
    with pytest.raises(ConfigError) as error:
        SegInferencer(tmp_path / 'data.py')
    assert str(error.value) == f'{tmp_path}/data.py has no key `model`; give a config that describes a network'
