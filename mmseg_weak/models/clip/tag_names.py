"""Texts that the methods which learn from image tags compare an image with: its classes, and all that is background.

CLIP-ES, Lin et al., CVPR 2023, arXiv 2212.09506; linyq2117/CLIP-ES @ 3893f81 (MIT). WeCLIP and ExCEL take the same.
"""
from collections.abc import Iterable

__all__ = ['TAG_BACKGROUND', 'TAG_SYNONYMS', 'tag_background', 'tag_texts']

TAG_BACKGROUND = ('ground', 'land', 'grass', 'tree', 'building', 'wall', 'sky', 'lake', 'water', 'river', 'sea',
                  'railway', 'railroad', 'keyboard', 'helmet', 'cloud', 'house', 'mountain', 'ocean', 'road', 'rock',
                  'street', 'valley', 'bridge', 'sign')
# What a class is called before CLIP, where its plain name is not the best one; of PASCAL VOC.
TAG_SYNONYMS = {'person': 'person with clothes,people,human', 'bird': 'bird avian', 'chair': 'chair seat',
                'tvmonitor': 'tvmonitor screen'}


def tag_background(classes: Iterable[str]) -> tuple[str, ...]:
    """Background words that are no class themselves (COCO has a keyboard and a sign).

    >>> len(tag_background(['keyboard', 'stop sign']))
    23
    """
    words = {word for name in classes for word in name.lower().split()}
    return tuple(name for name in TAG_BACKGROUND if name not in words)


def tag_texts(classes: Iterable[str]) -> tuple[str, ...]:
    """One text a class."""
    return tuple(TAG_SYNONYMS.get(name, name) for name in classes)
