"""Backbones that neither mmseg nor mmpretrain gives in the form a method needs."""
from .timm_vit import TimmViT
from .token_vit import ClassTokenViT
from .torchvision_features import TorchvisionFeatures

__all__ = ['ClassTokenViT', 'TimmViT', 'TorchvisionFeatures']
