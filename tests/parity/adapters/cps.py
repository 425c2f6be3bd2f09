"""CPS against the goldens: the box masks of CutMix-Seg."""
import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location('parity_adapter_cutmix_seg_shared',
                                               Path(__file__).with_name('cutmix_seg.py'))
_cutmix_seg = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_cutmix_seg)

box_masks = _cutmix_seg.box_masks
