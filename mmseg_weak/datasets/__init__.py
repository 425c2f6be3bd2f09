"""Datasets: a person's own folders, benchmarks by list file, ToyWorld; samplers, splits and pipeline
steps.
"""
from . import transforms
from .benchmarks import (
    Cityscapes27Dataset,
    COCO14Dataset,
    COCO14WSSSDataset,
    COCOObjectDataset,
    COCOStuff27Dataset,
    KittiStepDataset,
    PascalVOC20Dataset,
    VOC12WSSSDataset,
)
from .folder import FolderSegDataset, UnlabeledDataset
from .localization import CUBLocalization, ILSVRCLocalization, LocalizationDataset, WSOLListDataset
from .pseudo import DebiasedLabelDataset, PseudoLabelDataset
from .referring import RefCOCODataset, ReferringDataset
from .samplers import MultiSourceSampler, RunIndex, RunSampler
from .semi import SeededDataset, SemiDataset
from .tags import ImageLabelDataset
from .toyworld import ToyWorldDataset, ToyWorldReferring

__all__ = [
    'COCO14Dataset',
    'COCO14WSSSDataset',
    'COCOObjectDataset',
    'COCOStuff27Dataset',
    'CUBLocalization',
    'Cityscapes27Dataset',
    'DebiasedLabelDataset',
    'FolderSegDataset',
    'ILSVRCLocalization',
    'ImageLabelDataset',
    'KittiStepDataset',
    'LocalizationDataset',
    'MultiSourceSampler',
    'PascalVOC20Dataset',
    'PseudoLabelDataset',
    'RefCOCODataset',
    'ReferringDataset',
    'RunIndex',
    'RunSampler',
    'SeededDataset',
    'SemiDataset',
    'ToyWorldDataset',
    'ToyWorldReferring',
    'UnlabeledDataset',
    'VOC12WSSSDataset',
    'WSOLListDataset',
    'transforms',
]
