"""Between photographs and what networks see."""
from torch import Tensor, nn

__all__ = ['raw_images', 'sees_rgb']


def sees_rgb(preprocessor: nn.Module) -> bool:
    """Whether the networks behind a data preprocessor see RGB; mmseg's own attribute differs between the stacks."""
    return getattr(preprocessor, 'bgr_to_rgb', getattr(preprocessor, 'channel_conversion', True))


def raw_images(images: Tensor, preprocessor: nn.Module) -> Tensor:
    """Normalised (B,3,H,W) images back to RGB, 0 to 255, as the refinements want them."""
    if getattr(preprocessor, '_enable_normalize', False):
        images = images * preprocessor.std + preprocessor.mean
    return (images if sees_rgb(preprocessor) else images.flip(1)).clamp(0, 255)
