"""CaSED as a segmentor: words of an image, of its places, or of its patches."""
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.clip import CLIP_MEAN, CLIP_STD, middle
from mmseg_weak.models.clip.index_file import check_same_network, need_index, read_index
from mmseg_weak.models.segmentors import image_boxes
from mmseg_weak.models.segmentors.open_vocab import forgive_nothing

from .dense import crop_boxes, cut_crops, embed_cells, enlarge_labels, grid_boxes, paint_words, word_map
from .scores import SCALE, candidate_probs, distinct_captions, nearest_captions
from .words import candidate_words, may_name

__all__ = ['MODES', 'CaSED']

MODES = ('dense', 'image', 'patches')
PROBE = 'a photo of a dog.'
_COMMAND = 'mmseg-weak index cased CONFIG'
_TEST = dict(grids=(2, 4, 8), shifted=True, crop_px=128, cells=16, image_px=224, patch_grids=(3, ), min_area_px=1000,
             vocabulary='patch', window_batch=64, top=5)
_BLOCK = 1 << 16  # captions compared at a time
_KEPT = 100_000  # groups of captions, and words, that stay in memory


@MODELS.register_module()
class CaSED(BaseSegmentor):
    """What an image shows, in words of the captions that resemble it; see the package.

    - ``mode='dense'``: DenseCaSED, a word for each cell of a map;
    - ``mode='image'``: one word for the image, and its most likely ones as tags;
    - ``mode='patches'``: a word for each patch: the cells of ``patch_grids``, or the masks of ``proposals``.

    A mask holds indices of the image's own ``words``. Images come in RGB, 0 to 255.

    Args:
        clip: config of :class:`.OpenCLIP`. Its templates are the prompts of candidate words ('{}' in the paper; a data
            set's own prompts make UpperCaSED); keep ``cache_dir=None``, words come and go.
        index: file of ``mmseg-weak index cased``, read when a word is asked for.
        mode: see above.
        count: captions of an image. Paper: 10.
        duplicate_thr: cosine from which two captions count once. Paper: 0.94.
        alpha, scale, temperature: of :func:`.candidate_probs`.
        proposals: config of a module that gives masks (n,H,W) bool of an image (3,H,W); the published one is FastSAM.
        test_cfg: ``grids``, ``shifted``, ``crop_px``, ``cells`` (a side): of 'dense'; ``image_px``: side of whole
            images and patches; ``patch_grids``, ``min_area_px``, ``vocabulary`` (captions of each 'patch', or of the
            whole 'image'): of 'patches'; ``window_batch``: pictures in one forward; ``top``: tags given.
        data_preprocessor: mmseg's ``SegDataPreProcessor`` without mean and std; RGB from BGR by default.

    Raises:
        ConfigError: an unknown mode, key or value.
    """

    def __init__(self, clip: dict, index: str | None = None, mode: str = 'dense', count: int = 10,
                 duplicate_thr: float = 0.94, alpha: float = 0.7, scale: float = SCALE, temperature: float = 1.0,
                 proposals: dict | None = None, test_cfg: dict | None = None, data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        data_preprocessor = data_preprocessor or dict(type='SegDataPreProcessor', bgr_to_rgb=True, pad_val=0,
                                                      seg_pad_val=255)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if mode not in MODES:
            raise ConfigError(f'model.mode={mode!r} of CaSED is none of {", ".join(MODES)}.')
        given = dict(test_cfg or {})
        for key in given:
            if key not in _TEST:
                raise ConfigError(f'model.test_cfg has the key {key!r}, which is none of {", ".join(_TEST)}. '
                                  f'{near(key, _TEST)}')
        self.test_cfg = {**_TEST, **given}
        if self.test_cfg['vocabulary'] not in ('patch', 'image'):
            raise ConfigError(f"model.test_cfg.vocabulary={self.test_cfg['vocabulary']!r}; it is 'patch' or 'image'.")
        self.clip = MODELS.build(clip)
        self.proposals = MODELS.build(proposals) if proposals else None
        self.index, self.mode, self.count = index, mode, count
        self.duplicate_thr, self.alpha, self.scale, self.temperature = duplicate_thr, alpha, scale, temperature
        self.keep_word: Callable[[str], bool] = may_name  # a tagger of parts of speech may take its place
        self.num_classes = self.test_cfg['cells']**2  # indices of words that a mask may hold
        self.align_corners = False
        self.captions: list[str] | None = None
        self.database: Tensor | None = None
        self._groups: OrderedDict[tuple[int, ...], tuple[list[int], list[str]]] = OrderedDict()
        self._words: OrderedDict[str, Tensor] = OrderedDict()
        self.register_load_state_dict_post_hook(forgive_nothing)

    # ---- from pictures to words -----------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the index, once.

        Raises:
            ConfigError, MissingFileError, DataError: none is named, it is not there, it is no index of captions.
            CheckpointError: it was made with another CLIP.
        """
        path = need_index(self.index, 'model.index', _COMMAND)
        index = read_index(path, 'cased', _COMMAND)
        check_same_network(index.tensors['clip'], self.probe(), path, 'CLIP', _COMMAND)
        self.captions = index.texts['captions']
        self.database = index.tensors['embeddings'].to(self.clip.logit_scale.device)

    @torch.no_grad()
    def probe(self) -> Tensor:
        """What CLIP says about a fixed sentence; an index keeps it."""
        return self.clip.text.encode_texts([PROBE])[0]

    @torch.no_grad()
    def embed(self, pictures: Tensor) -> Tensor:
        """(n,3,h,w) normalised -> (n,d) unit vectors."""
        return torch.cat([self.clip.encode_image(part) for part in pictures.split(self.test_cfg['window_batch'])])

    def _group(self, rows: tuple[int, ...]) -> tuple[list[int], list[str]]:
        """Retrieved captions, each once, and the words in them."""
        if rows not in self._groups:
            first = distinct_captions(F.normalize(self.database[list(rows)].float(), dim=1), self.duplicate_thr)
            kept = [rows[i] for i in first]
            self._groups[rows] = kept, candidate_words((self.captions[i] for i in kept), self.keep_word)
            if len(self._groups) > _KEPT:
                self._groups.popitem(last=False)
        return self._groups[rows]

    def encode_words(self, words: Sequence[str]) -> Tensor:
        """(n,d) unit vectors of words."""
        new = list(dict.fromkeys(word for word in words if word not in self._words))
        if new:
            self._words.update(zip(new, self.clip.encode_names(new).cpu()))
        out = torch.stack([self._words[word] for word in words])
        while len(self._words) > _KEPT:
            self._words.popitem(last=False)
        return out.to(self.clip.logit_scale.device)

    @torch.no_grad()
    def describe(self, vectors: Tensor, queries: Tensor | None = None) -> list[list[tuple[str, float]]]:
        """Candidate words of pictures, the likeliest first.

        Args:
            vectors: (n,d) unit vectors of pictures.
            queries: (n,d) of those that captions are retrieved for; the pictures themselves by default.

        Returns:
            n lists of words and their probabilities.
        """
        if self.database is None:
            self.read()
        queries = vectors if queries is None else queries
        rows = nearest_captions(self.database, queries.float(), self.count, _BLOCK)
        groups = [self._group(tuple(row)) for row in rows.tolist()]
        captions = self.database[[i for kept, _ in groups for i in kept]].to(vectors)
        words = [word for _, some in groups for word in some]
        counts = [len(some) for _, some in groups]
        probs = candidate_probs(vectors, captions, [len(kept) for kept, _ in groups], self.encode_words(words), counts,
                                self.alpha, self.scale, self.temperature)
        out, start = [], 0
        for row, (_, some) in enumerate(groups):
            own = probs[row, start:start + len(some)]
            order = own.argsort(descending=True, stable=True).tolist()
            out.append([(some[i], float(own[i])) for i in order])
            start += len(some)
        return out

    # ---- an image -------------------------------------------------------------------------------------------------

    def normalised(self, image: Tensor) -> Tensor:
        """(3,H,W) RGB, 0 to 255 -> normalised for CLIP."""
        mean, std = (torch.tensor(v, device=image.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        return (image.float() - mean) / std

    def whole(self, image: Tensor) -> Tensor:
        """The image as CLIP sees it in training: short side and centre; (3,H,W) normalised -> (1,d)."""
        side, image = self.test_cfg['image_px'], middle(image)
        size = tuple(max(round(n * side / min(image.shape[-2:])), side) for n in image.shape[-2:])
        image = F.interpolate(image[None], size, mode='bicubic', align_corners=False, antialias=True)
        top, left = ((n - side) // 2 for n in size)
        return self.embed(image[..., top:top + side, left:left + side])

    def tags(self, image: Tensor, top: int | None = None) -> list[tuple[str, float]]:
        """The likeliest words of an image (3,H,W), RGB from 0 to 255, with their probabilities."""
        return self.describe(self.whole(self.normalised(image)))[0][:top or self.test_cfg['top']]

    def _dense(self, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, list[str]]:
        cfg = self.test_cfg
        crops = self.embed(cut_crops(image, cfg['grids'], cfg['shifted'], cfg['crop_px']))
        boxes = crop_boxes(cfg['grids'], cfg['shifted'])
        cells, _ = embed_cells(crops[None], boxes, (cfg['cells'], cfg['cells']))
        best = [words[0] for words in self.describe(cells[0].flatten(0, 1))]
        small, names = word_map([word for word, _ in best], (cfg['cells'], cfg['cells']))
        probs = torch.tensor([prob for _, prob in best], device=image.device).view(1, 1, *small.shape)
        probs = F.interpolate(probs, size, mode='bilinear', align_corners=False)[0, 0]
        return enlarge_labels(small.to(image.device), size), probs, names

    def _image(self, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, list[str]]:
        word, prob = self.describe(self.whole(image))[0][0]
        return torch.zeros(size, dtype=torch.long, device=image.device), image.new_full(size, prob), [word]

    def _patches(self, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, list[str]]:
        cfg = self.test_cfg
        masks, boxes = self._proposed(image)
        side = (cfg['image_px'], cfg['image_px'])
        crops = [F.interpolate(image[None, :, y1:y2, x1:x2], side, mode='bicubic', align_corners=False, antialias=True)
                 for y1, x1, y2, x2 in boxes]
        vectors = self.embed(torch.cat(crops))
        queries = self.whole(image).expand_as(vectors) if cfg['vocabulary'] == 'image' else None
        best = [words[0] for words in self.describe(vectors, queries)]
        labels, probs, names = paint_words(masks, [word for word, _ in best], [prob for _, prob in best])
        probs = F.interpolate(probs[None, None], size, mode='bilinear', align_corners=False)[0, 0]
        return enlarge_labels(labels, size), probs, names

    def _proposed(self, image: Tensor) -> tuple[list[Tensor], list[tuple[int, int, int, int]]]:
        """Masks of patches that are large enough, and boxes around them; the whole image where there is none."""
        size = tuple(image.shape[-2:])
        if self.proposals is None:
            masks = []
            for y1, x1, y2, x2 in grid_boxes(size, self.test_cfg['patch_grids']):
                mask = torch.zeros(size, dtype=torch.bool, device=image.device)
                mask[y1:y2, x1:x2] = True
                masks.append(mask)
        else:
            masks = list(self.proposals(image).bool())
        masks = [mask for mask in masks if int(mask.sum()) > self.test_cfg['min_area_px']]
        masks = masks or [torch.ones(size, dtype=torch.bool, device=image.device)]
        boxes = []
        for mask in masks:
            ys, xs = (mask.any(dim).nonzero().flatten() for dim in (1, 0))
            boxes.append((int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1))
        return masks, boxes

    @torch.no_grad()
    def segment(self, image: Tensor, size: tuple[int, int] | None = None) -> tuple[Tensor, Tensor, list[str]]:
        """Words of places.

        Args:
            image: (3,H,W) RGB, 0 to 255.
            size: of the mask; that of the image by default.

        Returns:
            (H,W) long, indices of words; (H,W) probability of each pixel's word among its candidates; the words.
        """
        work = dict(dense=self._dense, image=self._image, patches=self._patches)[self.mode]
        return work(self.normalised(image), tuple(size or image.shape[-2:]))

    # ---- mmseg's interface ----------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Masks at the photographs' own sizes.

        Returns:
            the samples, with ``pred_sem_seg`` (1,H,W), indices of their metainfo ``words``, and ``confidence`` (1,H,W);
            in mode 'image' also ``tags``, words and probabilities.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[-2:]))) for _ in inputs]
        for image, sample in zip(inputs, data_samples, strict=True):
            y0, y1, x0, x1 = image_boxes([sample], tuple(inputs.shape[-2:]))[0].tolist()
            image = image[:, y0:y1, x0:x1]
            size = tuple(sample.metainfo.get('ori_shape', image.shape[-2:]))[:2]
            labels, probs, names = self.segment(image, size)
            sample.set_metainfo(dict(words=names))
            if self.mode == 'image':
                sample.set_metainfo(dict(tags=self.tags(image)))
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels[None]), confidence=PixelData(data=probs[None])))
        return data_samples

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """(B,d) unit vectors of whole images."""
        return torch.cat([self.whole(self.normalised(image)) for image in inputs])

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """See :meth:`_forward`."""
        return self._forward(inputs)

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """(B,3,H,W) RGB, 0 to 255 -> (B,H,W) indices of each image's own words."""
        return torch.stack([self.segment(image)[0] for image in inputs])

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """There is none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f'{type(self).__name__} is not trained: test it, or predict with it.')

    def train(self, mode: bool = True) -> 'CaSED':
        """The networks stay in eval mode."""
        return super().train(False)
