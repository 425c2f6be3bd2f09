"""Work dirs as training leaves them, made up."""
import json

import numpy as np
import pytest

from mmseg_weak.files import write_bytes, write_json, write_text
from mmseg_weak.visualization import mask_png, png_bytes, voc_palette

CLASSES = ['Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car', 'Pedestrian',
           '<b>Bicyclist</b>']
PIXELS = np.array([160, 240, 10, 280, 60, 100, 12, 14, 60, 7, 6]) * 1000

CONFIG = """train_cfg = dict(max_iters=800, type='WeakIterTrainLoop')
model = dict({model})
train_dataloader = dict(batch_size=8, sampler=dict(source_ratio=[4, 4], type='MultiSourceSampler'),
    dataset=dict(type='SemiDataset', labeled=dict(type='FolderSegDataset', images='gone/images', masks='gone/masks',
    subset=dict(every=8), pipeline=[])))
optim_wrapper = dict(optimizer=dict(lr=0.001, type='SGD'), type='OptimWrapper')
randomness = dict(seed=0)
"""
NETWORK = "type='EncoderDecoder', backbone=dict(type='MobileNetV2'), decode_head=dict(type='ASPPHead')"


def _confusion(quality: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    matrix = np.zeros((len(PIXELS), len(PIXELS)), np.int64)
    for i, (count, found) in enumerate(zip(PIXELS, quality)):
        spread = rng.dirichlet(np.r_[PIXELS[:i], 0.001, PIXELS[i + 1:]] / PIXELS.sum() * 8 + 1e-3)
        matrix[i] = np.rint(count * (1 - found) * spread)
        matrix[i, i] = count - matrix[i].sum() + matrix[i, i]
    return matrix


def _scene(rng: np.random.Generator, size: tuple[int, int] = (90, 120)) -> tuple[np.ndarray, np.ndarray]:
    height, width = size
    mask = np.full(size, 1, np.uint8)
    mask[:height // 4] = 0
    mask[2 * height // 3:] = 3
    top, left = rng.integers(height // 3, height // 2), rng.integers(0, width // 2)
    mask[top:top + 30, left:left + 40] = 8
    mask[:4] = 255
    image = np.array(voc_palette(12))[np.minimum(mask, 11)] // 2 + rng.integers(30, 90, (*size, 1))
    return np.clip(image, 0, 255).astype(np.uint8), mask


def _evaluation(folder, step, quality, rng, pictures):
    matrix = _confusion(quality, rng)
    hit, truth, pred = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = (hit / np.maximum(truth + pred - hit, 1)).tolist()
    record = dict(iter=step, classes=CLASSES, palette=voc_palette(11), ignore_index=255, confusion=matrix.tolist(),
                  iou=iou, metrics=dict(mIoU=round(100 * float(np.mean(iou)), 2)), pictures=[],
                  images=[dict(img_path=f'camvid/test/{n:04d}.jpg', mIoU=float(np.clip(np.mean(iou) + s, 0, 1)))
                          for n, s in enumerate(rng.normal(0, 0.08, 30))])
    for number in range(4 if pictures else 0):
        image, mask = _scene(rng)
        pred = np.roll(mask, 5, 1)
        pred[pred == 255] = 0
        base = f'iter_{step}_pictures/{number:02d}'
        parts = dict(image=png_bytes(image), truth=mask_png(mask, voc_palette(11)),
                     pred=mask_png(pred, voc_palette(11)),
                     conf=png_bytes(rng.integers(90, 255, mask.shape).astype(np.uint8)))
        for part, data in parts.items():
            write_bytes(folder / f'{base}_{part}.png', data)
        record['pictures'].append(
            dict(kind='fixed' if number < 2 else 'worst',
                 img_path=f'camvid/test/{number:04d}.jpg',
                 mIoU=0.5 - 0.1 * number,
                 **{part: f'{base}_{part}.png'
                    for part in parts}))
    write_json(folder / f'iter_{step}.json', record)


@pytest.fixture
def make_run(tmp_path):
    """A function that makes a work_dir: make_run(name, level, semi) -> folder."""

    def make(name: str, level: float = 0.6, semi: bool = True, steps=(100, 200, 300, 400, 500, 600, 700, 800)):
        folder = tmp_path / name
        rng = np.random.default_rng(7)
        ease = (PIXELS / PIXELS.max()) ** 0.25
        for step in steps:
            growth = level * (1 - np.exp(-step / 250))
            quality = np.clip(ease * growth + 0.35 * ease + rng.normal(0, 0.01, len(PIXELS)), 0.02, 0.97)
            if semi:
                quality[4] *= 0.8  # one class that suffers
            _evaluation(folder / 'eval', step, quality, rng, pictures=step == steps[-1])
        lines = []
        for step in range(10, steps[-1] + 1, 10):
            loss = 0.4 + 1.6 * float(np.exp(-step / 200)) + float(rng.normal(0, 0.08))
            lines.append({'loss': loss, 'sup.decode.loss_ce': loss * 0.6, 'loss_unsup': loss * 0.4,
                          'lr': 0.001 * (1 - step / 801) ** 0.9, 'iter': step, 'step': step})
            if semi and step % 50 == 0:
                entry = {'pseudo/kept': 0.9 * step / (step + 200), 'pseudo/conf': 0.6 + 0.3 * step / 800, 'step': step}
                for place, cls in enumerate(CLASSES):
                    entry[f'pseudo/kept/{cls}'] = float(ease[place] * step / (step + 250))
                    entry[f'pseudo/conf/{cls}'] = float(0.5 + 0.4 * ease[place] * step / 800)
                lines.append(entry)
        write_text(folder / '20260101_000000/vis_data/scalars.json', '\n'.join(map(json.dumps, lines)) + '\n')
        model = f"type='UniMatch', segmentor=dict({NETWORK})" if semi else NETWORK
        write_text(folder / 'config.py', CONFIG.format(model=model))
        if semi:
            for number in range(3):
                image, mask = _scene(rng)
                snapshots = folder / 'pseudo_snapshots'
                write_bytes(snapshots / f'images/{number:02d}_x.png', png_bytes(image))
                for step in (1, 200, 400, 600, 800):
                    noisy = np.where(rng.random(mask.shape) < 0.5 * np.exp(-step / 200), 1, np.minimum(mask, 10))
                    write_bytes(snapshots / f'iter_{step}/{number:02d}_x.png',
                                mask_png(noisy.astype(np.uint8), voc_palette(11)))
                    conf = np.full(mask.shape, min(255, 60 + step // 4), np.uint8)
                    write_bytes(snapshots / f'iter_{step}/{number:02d}_x_conf.png', png_bytes(conf))
        return folder

    return make


NET = """
custom_imports = dict(imports=['mmseg_weak'], allow_failed_imports=False)
default_scope = 'mmseg'
crop_size = (32, 32)
net = dict(type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4, out_indices=(0, 1, 2, 3),
                  strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), norm_cfg=dict(type='BN')),
    decode_head=dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
                     num_classes=3, norm_cfg=dict(type='BN'), dropout_ratio=0.1, loss_decode=dict(LOSS)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
test_dataloader = dict(dataset=dict(type='FolderSegDataset', images='i', masks='m', test_mode=True,
    metainfo=dict(classes=['sky', 'road', 'car'], palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    pipeline=[dict(type='LoadImage'), RESIZE dict(type='LoadMask'), dict(type='PackSemiInputs')]))
"""
PLAIN = NET + "model = dict(data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size), **net)\n"
SEMI = NET + """
view = dict(type='PhotometricView')
model = dict(type='FixMatch', segmentor=net, data_preprocessor=dict(type='MultiBranchDataPreprocessor', size=crop_size,
    mean=[100.0, 110.0, 120.0], views=dict(strong=view, strong1=view)))
"""


@pytest.fixture
def make_model(tmp_path):
    """A function that writes a tiny config and checkpoint: make_model(semi, resize, loss, ...) -> (config,
    checkpoint)."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    import mmseg_weak  # noqa: F401

    def make(semi: bool = False,
             resize: str = '',
             loss: str = "type='CrossEntropyLoss'",
             classes=('sky', 'road', 'car'),
             name: str = 'model'):
        init_default_scope('mmseg')
        config = tmp_path / f'{name}.py'
        config.write_text((SEMI if semi else PLAIN).replace('RESIZE', resize).replace('LOSS', loss))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(str(config)).model)
        model.init_weights()
        for key, value in model.state_dict().items():
            if key.endswith('running_mean'):  # statistics that matter, as after training
                value.normal_(0, 0.1)
            elif key.endswith('conv_seg.weight'):
                value.normal_(0, 1)
        checkpoint = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(
            classes=list(classes), palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]]))), checkpoint)
        return config, checkpoint

    return make


COLOURS = ('background', 'red', 'green')


def _register_colour_maps() -> None:
    import torch
    from mmseg.registry import MODELS
    from torch import nn

    from mmseg_weak.models.segmentors import TagSegmentor

    @MODELS.register_module(force=True)
    class ColourMaps(TagSegmentor):
        """Class maps are the red and the green of an image; a blue pixel above 250 gives NaN."""

        def __init__(self, **kwargs):
            super().__init__(num_classes=3, data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.0] * 3,
                                                                   std=[1.0] * 3, bgr_to_rgb=True), **kwargs)
            self.weight = nn.Parameter(torch.ones(1))

        def class_maps(self, images):
            maps = nn.functional.conv2d(images[:, :2] / 255, torch.eye(2)[:, :, None, None] * self.weight)
            return maps.float().masked_fill(images[:, 2:] > 250, torch.nan)

        def tag_logits(self, images):
            return images[:, :2].amax((2, 3)) / 64 - 2

        def loss(self, inputs, data_samples):
            return dict(loss=self.weight.sum())


COLOUR_CONFIG = """
default_scope = 'mmseg'
model = dict(type='ColourMaps', seed=dict(scales=(1,), flip='none', thr=0.3))
train_eval_dataloader = dict(batch_size=1, dataset=dict(type='ImageLabelDataset', data_root='ROOT', images='images',
    tags='tags.json', masks='truth', with_masks=True, classes=('background', 'red', 'green'),
    pipeline=[dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackSemiInputs')]))
"""
SHOWN_IN_COLOUR = [(1,), (2,), (1, 2), (), (1,), (2,)]


@pytest.fixture
def project(tmp_path):
    """(config, checkpoint, root): six images of squares whose colours are their classes, tags and true masks."""
    import torch
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS
    from PIL import Image

    init_default_scope('mmseg')
    _register_colour_maps()
    rng = np.random.default_rng(0)
    for name in ('images/a', 'truth/a'):
        (tmp_path / name).mkdir(parents=True)
    tags = {}
    for i, classes in enumerate(SHOWN_IN_COLOUR):
        image = rng.integers(0, 50, (24, 32, 3)).astype(np.uint8)  # RGB
        truth = np.zeros((24, 32), np.uint8)
        for c in classes:
            rows, columns = slice(4, 16), slice(2 + 14 * (c - 1), 14 + 14 * (c - 1))
            image[rows, columns, c - 1] = 200 + 10 * i
            truth[rows, columns] = c
        Image.fromarray(image).save(tmp_path / f'images/a/{i}.png')
        Image.fromarray(truth).save(tmp_path / f'truth/a/{i}.png')
        tags[f'{i}.png'] = [COLOURS[c] for c in classes]
    (tmp_path / 'tags.json').write_text(json.dumps(tags))
    config = tmp_path / 'colour.py'
    config.write_text(COLOUR_CONFIG.replace('ROOT', str(tmp_path)))
    model = MODELS.build(dict(type='ColourMaps', seed=dict(scales=(1,), flip='none')))
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'colour.pth')
    return config, tmp_path / 'colour.pth', tmp_path
