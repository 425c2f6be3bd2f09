"""Trident as a segmentor."""
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError, near
from mmseg_weak.models.clip import ClassNames, DenseViT, KeptFeatures, RefinedFeatures
from mmseg_weak.models.segmentors import OpenVocabSegmentor

from .refine import refine_by_prompts
from .sam import SAMView, to_multiple
from .splicing import clip_size, cut_windows, sam_weights, spliced_features, windows_of

__all__ = ['Trident']

_REFINE = dict(coarse_thr=0.2, iou_thr=0.8, min_area=225, factor=0.005, as_published=False)


class _SplicedFeatures(KeptFeatures):
    """Features of a whole image on SAM's grid, and what SAM is asked of."""

    def __init__(self, features: Tensor, original: tuple[int, int], view: SAMView | None) -> None:
        super().__init__(features[None], [(0, 0, *original)], original)
        self.view = view


@MODELS.register_module()
class Trident(OpenVocabSegmentor):
    """Trident: see the package. The windows of an image are one canvas, so its scores are not averaged over windows.

    CLIP and DINO see the image at ``short_side_px``, SAM as it is. ``crop_px`` and ``stride_px`` are multiples of
    CLIP's patch; ``multiple_px`` is of no account, since sizes are fitted to patches.

    Args:
        clip: config of :class:`.OpenCLIP` with ``attention='proxyclip', residual=False, ffn=False``.
        proxy: config of DINO's backbone.
        sam: config of :class:`.SAM`, or of :class:`.ViTCorrelation` in its place.
        cos_factor: of :func:`.sam_weights`. Paper: 1.2; VOC20: 0; Cityscapes: 3.
        keep_negative: see there. Paper: True; ADE20K and Cityscapes: False.
        halves: SAM looks at the left and the right half (Cityscapes).
        refine: ask SAM for masks; settings of :func:`.refine_by_prompts` other than its defaults; None: do not.
        kwargs: of :class:`.OpenVocabSegmentor`.

    Raises:
        ConfigError: another attention, no ``proxy``, a ``sam`` that answers no prompts though ``refine`` is set, or an
            unknown setting.
    """

    sees_photograph = True

    def __init__(self, clip: dict, proxy: dict | None = None, sam: dict | None = None, cos_factor: float = 1.2,
                 keep_negative: bool = True, halves: bool = False, refine: dict | None = None, **kwargs) -> None:
        super().__init__(clip=clip, proxy=proxy, **kwargs)
        tower = self.clip.vision
        if not isinstance(tower, DenseViT) or tower.attention_name != 'proxyclip':
            found = repr(tower.attention_name) if isinstance(tower, DenseViT) else 'that of a ResNet'
            raise ConfigError(f"Trident mixes the values of a ViT's last block by DINO's affinity, and model.clip has "
                              f"the attention {found}; set attention='proxyclip', residual=False, ffn=False.")
        for part, config in dict(proxy=proxy, sam=sam).items():
            if not config:
                raise ConfigError(f'model.{part} is missing: Trident needs DINO (proxy) and SAM (sam) beside CLIP.')
        self.sam = MODELS.build(sam)
        self.sam.init_weights()  # a runner does so before training only
        self.sam.requires_grad_(False).eval()
        self.cos_factor, self.keep_negative, self.halves = cos_factor, keep_negative, halves
        for key in refine or {}:
            if key not in _REFINE:
                raise ConfigError(f'model.refine has the key {key!r}, which is none of {", ".join(_REFINE)}. '
                                  f'{near(key, _REFINE)}'.rstrip())
        if refine is not None and self.sam.prompt_encoder is None:
            raise ConfigError(f'model.refine asks {type(self.sam).__name__} for masks, which answers no prompts; take '
                              'a SAM with prompts=True, or set refine=None.')
        self.refine = {**_REFINE, **refine} if refine is not None and self.protocol == 'paper' else None
        per_image = (clip.get('attention_cfg') or {}).get('per_image', True)
        self.forward_batch = self.test_cfg['window_batch'] if per_image else None

    # ---- the image's side -------------------------------------------------------------------------------------------

    def correlate(self, image: Tensor) -> tuple[list[Tensor], tuple[int, int], SAMView | None]:
        """SAM's look at an image (3,H,W), RGB from 0 to 255.

        Returns:
            weights (N,N) of the image, or of both halves; (h,w) of each; the view that answers prompts, where it is
            wanted.
        """
        image = to_multiple(image.float(), self.patch_size)
        asked = self.refine is not None
        if not self.halves:
            views = [self.sam.look(image, embed=asked)]
        else:
            views = [self.sam.look(half, embed=False) for half in image.chunk(2, 2)]
        weights = [sam_weights(view.values, view.attention, self.cos_factor, self.keep_negative) for view in views]
        if not asked:
            return weights, views[0].grid, None
        whole = self.sam.look(image, correlate=False) if self.halves else views[0]
        return weights, views[0].grid, whole._replace(attention=[])

    @torch.no_grad()
    def keep(self, images: list[Tensor], originals: list[tuple[int, int]] | None = None) -> list[KeptFeatures]:
        """Features of images at their own sizes, see :class:`.OpenVocabSegmentor`."""
        originals = originals or [tuple(image.shape[-2:]) for image in images]
        cfg, patch, kept = self.test_cfg, self.patch_size, []
        for image, original in zip(images, originals, strict=True):
            small = self.resized(image)
            size = clip_size(tuple(small.shape[-2:]), patch, cfg['crop_px'] or patch)
            seen = F.interpolate(self.for_clip(small)[None], size, mode='bilinear', align_corners=False)[0]
            crop = cfg['crop_px'] or max(size)
            windows = windows_of(size, patch, crop, cfg['stride_px'] if cfg['crop_px'] else crop)
            parts = cut_windows(seen, windows, patch).split(cfg['window_batch'])
            proxy = torch.cat([self.proxy_map(part) for part in parts])
            weights, grid, view = self.correlate(image)
            features = spliced_features(self.clip.vision, seen, proxy, windows, weights, grid, self.forward_batch)
            one = _SplicedFeatures(F.normalize(features, dim=0), tuple(original), view)
            kept.append(one if self.refiner is None else RefinedFeatures(one, small, self.refiner))
        return kept

    # ---- the names' side --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def label(self, kept: KeptFeatures, names: ClassNames | None = None, image: Tensor | None = None,
              **settings) -> tuple[Tensor, Tensor]:
        """See :class:`.OpenVocabSegmentor`. With ``refine``, regions have the masks that SAM gives for them.

        SAM is asked about classes that are best somewhere, so that memory does not grow with the number of names.
        """
        names = names or self.names
        labels, best = super().label(kept, names, image, **settings)
        if self.refine is None:
            return labels, best
        texts, scale = self.texts(names), settings.get('scale', self.test_cfg['scale'])
        present = labels.unique()
        probs = torch.cat([kept.probs(cosines, names.owner, scale)[present] for _, cosines in kept.bands(texts)], 1)
        place = torch.searchsorted(present, labels)

        def ask(points: Tensor, boxes: Tensor, prompt: Tensor, half: tuple[int, int]) -> tuple[Tensor, Tensor]:
            return self.sam.ask(kept.view, points, boxes, prompt, half, tuple(labels.shape),
                                self.refine['as_published'])

        found = refine_by_prompts(ask, probs, place, side=self.sam.prompt_side, **self.refine)
        confidence = torch.where(found == place, best, probs.gather(0, found[None])[0])
        return present[found], confidence
