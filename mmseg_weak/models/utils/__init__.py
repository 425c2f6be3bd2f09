"""Small helpers that models of several kinds share."""
from .embedding import decode_with_embedding, embedding_channels
from .late import LateNetwork
from .modes import eval_mode, train_mode
from .progress import current_iter, iters_per_epoch, max_iters, progress
from .weights import packaged_weights, resolve_weights

__all__ = ['LateNetwork', 'current_iter', 'decode_with_embedding', 'embedding_channels', 'eval_mode', 'iters_per_epoch',
           'max_iters', 'packaged_weights', 'progress', 'resolve_weights', 'train_mode']
