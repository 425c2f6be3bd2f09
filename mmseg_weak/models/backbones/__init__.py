"""Backbones that neither mmseg nor mmpretrain gives in the form a method needs."""
from .attention_mit import AttentionMiT
from .resnet38d import ResNet38d
from .timm_vit import TimmViT
from .token_vit import ClassTokenViT
from .torchvision_features import TorchvisionFeatures

__all__ = ['AttentionMiT', 'ClassTokenViT', 'ResNet38d', 'TimmViT', 'TorchvisionFeatures']
