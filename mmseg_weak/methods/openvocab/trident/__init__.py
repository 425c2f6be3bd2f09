"""Trident: CLIP's windows are spliced as features, SAM says what belongs together.

Shi, Dong & Xu, Harnessing Vision Foundation Models for High-Performance, Training-Free Open Vocabulary Segmentation,
ICCV 2025, arXiv 2411.09219; YuHengsss/Trident @ a93b346 (Apache-2.0).

    splice     the last block's output of every window, mixed by DINO's affinity
               (``attention='proxyclip'``), on one canvas; the mean where windows overlap        :mod:`.splicing`
    aggregate  W canvas, W from SAM's last attention where the values of a head agree            :mod:`.splicing`
    refine     regions of the prediction as prompts of SAM, its masks weighed by CLIP            :mod:`.refine`

Then LNpost, projection and cosines with the names, softmax of 40 times them; a class has the best of its names.

Deviations. The mean that DINO's affinity subtracts is each window's, as in ProxyCLIP; published: of all windows of an
image (``attention_cfg=dict(per_image=False)``). Any class may have several names, not the background alone. In regions
whose mask SAM is not sure of, CLIP's labels come back; the official code takes the maximum first and then compares with
it, so that labels never change (:func:`merge_failed`). A mask prompt is normalised over channels, as SAM was trained;
the official code hands it over without a batch, so that SAM's norm runs over rows. ``refine.as_published=True`` is both
ways the official one. SAM's masks are enlarged to the image in one step (official: by way of a size in whole patches).
SAM sees the photograph that the pipeline loads, not the file again. All networks run in float32; officially
``precision`` of ``clip`` and ``sam`` is 'fp16'.

:class:`Trident` is the segmentor, :mod:`.sam` and :mod:`.prompts` are SAM.
"""
from .refine import (
    Region,
    combine_masks,
    find_regions,
    mask_prompt,
    merge_failed,
    refine_by_prompts,
    reject_labels,
    replace_empty,
)
from .sam import SAM, ViTCorrelation
from .segmentor import Trident
from .splicing import (
    aggregate,
    clip_size,
    cut_windows,
    sam_weights,
    splice,
    spliced_features,
    window_features,
    windows_of,
)

__all__ = ['SAM', 'Region', 'Trident', 'ViTCorrelation', 'aggregate', 'clip_size', 'combine_masks', 'cut_windows',
           'find_regions', 'mask_prompt', 'merge_failed', 'refine_by_prompts', 'reject_labels', 'replace_empty',
           'sam_weights', 'splice', 'spliced_features', 'window_features', 'windows_of']
