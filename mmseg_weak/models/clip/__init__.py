"""CLIP towers of open_clip: dense features, attention variants, class names, kept text embeddings."""
from .attention import ATTENTION, Heads, Mix, Score, build_attention, register_attention
from .benchmark_names import BACKGROUNDS, class_lists, named_classes
from .kept import KeptFeatures, keep_features
from .names import BACKGROUND_NAMES, ClassNames, parse_classes, read_names
from .openclip import CLIP_MEAN, CLIP_STD, OpenCLIP
from .positions import POSITION_RULES, resize_position_table
from .postprocess import class_probs, drop_small_classes, label_map
from .refined import RefinedFeatures
from .resnet import DenseResNet
from .templates import TEMPLATES, resolve_templates
from .text import TextEncoder, average_templates, load_embeddings, max_over_names
from .vision import DenseOutput, DenseViT, visual_from_state
from .weights import fetch_clip, find_weights
from .windows import middle, slide, window_boxes

__all__ = ['ATTENTION', 'BACKGROUNDS', 'BACKGROUND_NAMES', 'CLIP_MEAN', 'CLIP_STD', 'ClassNames', 'DenseOutput',
           'DenseResNet', 'DenseViT', 'Heads', 'KeptFeatures', 'Mix', 'OpenCLIP', 'POSITION_RULES', 'RefinedFeatures',
           'Score', 'TEMPLATES', 'TextEncoder', 'average_templates', 'build_attention', 'class_lists', 'class_probs',
           'drop_small_classes', 'fetch_clip', 'find_weights', 'keep_features', 'label_map', 'load_embeddings',
           'max_over_names', 'middle', 'named_classes', 'parse_classes', 'read_names', 'register_attention',
           'resize_position_table', 'resolve_templates', 'slide', 'visual_from_state', 'window_boxes']
