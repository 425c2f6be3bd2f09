"""An exported student runs in mmseg alone."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from mmseg_weak.apis.export import export_student
from mmseg_weak.apis.inferencer import SegInferencer
from mmseg_weak.compat import STACK
from mmseg_weak.errors import CheckpointError, ConfigError


@pytest.fixture(autouse=True)
def own_loss():
    """A loss that only the plugin knows; it must not reach the exported config."""
    from mmseg.registry import MODELS

    class WeakExportLoss(torch.nn.Module):
        loss_name = 'loss_x'

    WeakExportLoss.__module__ = 'mmseg_weak.models.losses.x'
    MODELS.register_module(name='WeakExportLoss', module=WeakExportLoss, force=True)
    yield
    MODELS.module_dict.pop('WeakExportLoss')


WITHOUT_PLUGIN = '''
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'mmseg_weak':
            raise ImportError('the plugin is not here')
sys.meta_path.insert(0, Block())
import numpy as np, torch
from mmseg.apis import init_model, inference_model
model = init_model(sys.argv[1], sys.argv[2], device='cpu')
assert model.dataset_meta['classes'] == ['sky', 'road', 'car'], model.dataset_meta
result = inference_model(model, np.load(sys.argv[3]))
np.save(sys.argv[4], result.seg_logits.data.numpy())
assert 'mmseg_weak' not in sys.modules
'''


@pytest.mark.skipif(STACK == 'official', reason='mmseg of the official stack does not import with mmcv-lite by itself')
@pytest.mark.parametrize('semi', [True, False])
def test_same_logits_without_the_plugin(make_model, tmp_path, semi):
    config, checkpoint = make_model(semi=semi, resize="dict(type='Resize', scale=(40, 24), keep_ratio=True),",
                                    loss="type='WeakExportLoss'")
    files = export_student(config, checkpoint, tmp_path / 'out')
    image = np.random.default_rng(0).integers(0, 256, (36, 52, 3)).astype(np.uint8)
    np.save(tmp_path / 'image.npy', image)
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run([
        sys.executable, '-c', WITHOUT_PLUGIN, *map(str, files),
        str(tmp_path / 'image.npy'),
        str(tmp_path / 'logits.npy')
    ],
                          env=env,
                          cwd=tmp_path,
                          capture_output=True,
                          text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / 'logits.npy')
    ours = SegInferencer(config, checkpoint, device='cpu')
    assert np.array_equal(theirs.argmax(0), ours(image).mask)
    assert np.allclose(torch.from_numpy(theirs).softmax(0).amax(0).numpy(), ours(image).confidence, atol=1e-6)


def test_what_is_written(make_model, tmp_path):
    config, checkpoint = make_model(semi=True)
    written, weights = export_student(config, checkpoint, tmp_path / 'out')
    text = written.read_text()
    for ours in ('mmseg_weak', 'FixMatch', 'MultiBranch', 'FolderSegDataset', 'PackSemiInputs', 'LoadMask',
                 "'LoadImage'"):
        assert ours not in text, ours
    assert 'mean=[100.0, 110.0, 120.0],' in text and 'bgr_to_rgb=True' in text
    assert 'std=[58.395, 57.12, 57.375],' in text
    content = torch.load(weights, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert not any(key.startswith(('student', 'teacher')) for key in content['state_dict'])
    again = export_student(written, weights, tmp_path / 'again')  # a plain model exports to itself
    theirs = torch.load(again[1], weights_only=True)['state_dict']
    assert all(torch.equal(value, theirs[key]) for key, value in content['state_dict'].items())


def test_errors(make_model, tmp_path):
    config, checkpoint = make_model(semi=True)
    export_student(config, checkpoint, tmp_path / 'out')
    with pytest.raises(ConfigError) as error:
        export_student(config, checkpoint, tmp_path / 'out')
    assert str(error.value) == f'{tmp_path}/out/student.py is there already; give another folder or say overwrite'
    with pytest.raises(ConfigError) as error:
        export_student(config, checkpoint, tmp_path / 'x', which='pupil')
    assert str(error.value) == "which is 'pupil'; give 'student' or 'teacher'"
    plain = make_model(name='plain')
    with pytest.raises(ConfigError) as error:
        export_student(*plain, tmp_path / 'x', which='teacher')
    assert str(error.value) == 'model.type is EncoderDecoder, which has no teacher; export the student'
    with pytest.raises(CheckpointError) as error:
        export_student(config, plain[1], tmp_path / 'x')
    assert str(error.value) == (f"{plain[1]} holds no student (no weight starts with 'student.'); give the checkpoint "
                                f"of a "
                                f"semi-supervised run")
    assert not (tmp_path / 'x').exists()


def test_teacher_is_another_network(tmp_path):
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmseg_weak.apis.config import load_config
    init_default_scope('mmseg')
    model = MODELS.build(load_config('cutmix-seg_toyworld').model)
    torch.nn.init.constant_(model.student.decode_head.conv_seg.bias, 1.0)
    torch.nn.init.constant_(model.teacher.module.decode_head.conv_seg.bias, 2.0)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'semi.pth')
    for which, value in (('student', 1.0), ('teacher', 2.0)):
        config, weights = export_student('cutmix-seg_toyworld', tmp_path / 'semi.pth', tmp_path / 'out', which=which)
        assert weights.name == f'{which}.pth'
        exported = SegInferencer(config, weights, device='cpu')
        assert exported.model.decode_head.conv_seg.bias.tolist() == [value] * 8
        assert exported.classes[:2] == ['background', 'ball']
