"""Backbones that neither mmseg nor mmpretrain gives in the form a method needs."""
from .timm_vit import TimmViT

__all__ = ['TimmViT']
