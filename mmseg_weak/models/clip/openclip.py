"""Both towers of an open_clip model as one mmengine module."""
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import ConfigError

from .names import ClassNames
from .resnet import DenseResNet
from .text import TextEncoder
from .vision import DenseOutput, DenseViT
from .weights import create_model, get_tokenizer

__all__ = ['CLIP_MEAN', 'CLIP_STD', 'OpenCLIP']

# RGB, 0 to 255
CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.32316305)
_PRECISIONS = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


@MODELS.register_module()
class OpenCLIP(BaseModule):
    """A CLIP of open_clip: dense and global image features, and embeddings of class names.

    Args:
        name: open_clip's name of the model, or 'toyworld_clip', the tiny one that comes with this package.
        pretrained: a tag of open_clip ('openai', 'laion2b_s34b_b88k', ...), a local file, 'toyworld', or None for
            random weights. Nothing is downloaded: see :func:`.weights.find_weights`.
        activation: see :func:`.weights.create_model`.
        precision: 'fp32', 'fp16' or 'bf16', of the weights. Features come out in float32.
        attention, attention_cfg, residual, ffn, last, stream, positions: of the dense path, see :class:`.DenseViT`.
            A ResNet has the value path only (:class:`.resnet.DenseResNet`).
        templates: see :func:`.templates.resolve_templates`.
        cache_dir: folder in which text embeddings are kept; None keeps none; 'default' is the user's cache folder.
        frozen: no gradient reaches the weights. Gradients of the images' side still flow where a method wants them.

    Raises:
        ConfigError, CheckpointError, MissingFileError: see :func:`.weights.create_model` and :class:`.DenseViT`.
    """

    def __init__(self, name: str = 'ViT-B-16', pretrained: str | None = None, activation: str = 'auto',
                 precision: str = 'fp32', attention: str = 'vanilla', attention_cfg: dict | None = None,
                 residual: bool = True, ffn: bool = True, last: int = 1, stream: str = 'replace',
                 positions: str = 'offset', templates: str | Iterable[str] = 'imagenet',
                 cache_dir: str | None = 'default', frozen: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if precision not in _PRECISIONS:
            raise ConfigError(f'precision={precision!r} of OpenCLIP; use {", ".join(_PRECISIONS)}.')
        model = create_model(name, pretrained, activation)
        if type(model.visual).__name__ == 'ModifiedResNet':
            if attention not in ('vanilla', 'value'):
                raise ConfigError(f'attention={attention!r} needs a ViT; {name} is a ResNet, whose patches MaskCLIP '
                                  "alone can read: attention='value'.")
            self.vision = DenseResNet(model.visual, 'size')
        else:
            self.vision = DenseViT(model.visual, attention, attention_cfg, residual, ffn, last, stream, positions)
        self.text = TextEncoder(model, get_tokenizer(name), name, templates, cache_dir)
        self.to(_PRECISIONS[precision])
        self.register_buffer('logit_scale', model.logit_scale.detach().clone().reshape(()))  # float32 in any precision
        self.name, self.precision = name, precision
        if frozen:
            self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'OpenCLIP':
        """A frozen CLIP stays in eval mode."""
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    @property
    def embed_dim(self) -> int:
        """d, of the space that images and texts share."""
        return self.vision.embed_dim

    @property
    def scale(self) -> float:
        """exp(logit_scale): 100 in released weights."""
        return float(self.logit_scale.exp())

    def forward(self, images: Tensor, **kwargs) -> DenseOutput:
        """Dense and global features of normalised images (B,3,H,W), float32; arguments as of :class:`.DenseViT`."""
        out = self.vision(images, **kwargs)
        return out._replace(dense=out.dense.float(), whole=None if out.whole is None else out.whole.float())

    def encode_image(self, images: Tensor) -> Tensor:
        """(B,d) unit vectors of whole images of any size."""
        return F.normalize(self(images).whole, dim=-1)

    def encode_dense(self, images: Tensor, **kwargs) -> Tensor:
        """(B,d,h,w) unit vectors of patches."""
        return F.normalize(self(images, whole=False, **kwargs).dense, dim=1)

    def encode_names(self, classes: ClassNames | Iterable[str]) -> Tensor:
        """(n,d) unit vectors, one a name (not a class: see :class:`.names.ClassNames`), float32."""
        return self.text(classes)
