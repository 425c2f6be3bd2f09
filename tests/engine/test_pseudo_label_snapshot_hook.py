"""Snapshots of pseudo labels: the same crops, the network that labels, nothing disturbed."""
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

import mmseg_weak  # noqa: F401
from mmseg_weak.engine.hooks.pseudo_label_snapshot_hook import PseudoLabelSnapshotHook


class _Dataset:
    """Two labelled and five unlabelled crops; what comes out depends on the draw seed alone."""
    metainfo = dict(classes=('a', 'b', 'c'), palette=[[9, 9, 9], [8, 8, 8], [7, 7, 7]])
    source_lengths = (2, 5)

    def __getitem__(self, index):
        assert index >= 2  # never a labelled one
        generator = torch.Generator().manual_seed(index.draw_seed)
        return dict(inputs=torch.randint(0, 256, (3, 24, 32), generator=generator, dtype=torch.uint8),
                    data_samples=SegDataSample(metainfo=dict(img_path=f'x/{int(index)}.jpg', source='unsup')))


def test_snapshots(tmp_path):
    init_default_scope('mmseg')
    net = dict(type='EncoderDecoder', train_cfg=dict(), test_cfg=dict(mode='whole'),
               backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, norm_cfg=dict(type='BN')),
               decode_head=dict(type='FCNHead', in_channels=32, in_index=3, channels=4, num_convs=1,
                                concat_input=False, num_classes=3, norm_cfg=dict(type='BN'),
                                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
    torch.manual_seed(0)
    model = MODELS.build(dict(type='FixMatch', segmentor=net, data_preprocessor=dict(
        type='MultiBranchDataPreprocessor', size=(32, 32), views=dict(strong1=dict(type='PhotometricView')))))
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    runner = SimpleNamespace(iter=0, max_iters=8, work_dir=str(tmp_path), model=model,
                             train_dataloader=SimpleNamespace(dataset=_Dataset()))
    hook = PseudoLabelSnapshotHook(count=2, times=2)
    for runner.iter in range(8):
        hook.after_train_iter(runner, 0)
    folder = tmp_path / 'pseudo_snapshots'
    assert sorted(path.name for path in folder.iterdir()) == ['images', 'images.json', 'iter_1', 'iter_4', 'iter_8']
    assert sorted(path.name for path in (folder / 'iter_4').iterdir()) == [
        '00_2.png', '00_2_conf.png', '01_4.png', '01_4_conf.png']
    crop = hook._crops[1][1]
    assert (np.asarray(Image.open(folder / 'images/01_4.png')) == crop.numpy()[::-1].transpose(1, 2, 0)).all()
    model.eval()
    with torch.no_grad():
        logits = model.logits(model.data_preprocessor(dict(inputs=[crop]))['inputs'])
    conf, expected = logits.softmax(1).max(1)
    with Image.open(folder / 'iter_8/01_4.png') as mask:
        assert mask.mode == 'P' and (np.asarray(mask) == expected[0].numpy()).all()
    with Image.open(folder / 'iter_8/01_4_conf.png') as picture:
        assert np.abs(np.asarray(picture) - 255 * conf[0].numpy()).max() <= 0.51
    model.train()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_plain_model_is_left_alone(tmp_path):
    runner = SimpleNamespace(iter=0, max_iters=1, work_dir=str(tmp_path), model=torch.nn.Linear(1, 1))
    PseudoLabelSnapshotHook().after_train_iter(runner, 0)
    assert list(tmp_path.iterdir()) == []
