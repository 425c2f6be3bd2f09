"""Batches on the device: padding, views, normalisation."""
from .multi_branch import MultiBranchDataPreprocessor

__all__ = ['MultiBranchDataPreprocessor']
