"""CaSED's index: captions and their embeddings."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from mmseg_weak.datasets.captions import read_captions
from mmseg_weak.errors import ConfigError
from mmseg_weak.methods.openvocab.cased import CaSED
from mmseg_weak.models.clip.index_file import check_same_network, read_index, write_index

from .index_common import IndexResult, archive_dataset, index_config, open_model, out_file
from .progress import progress

__all__ = ['index_cased']

_COMMAND = 'mmseg-weak index cased CONFIG --overwrite'
_BATCH = 256
_LEAST_NEW = 1 << 16  # captions between two writings of a file in the making; from 655,360 on a tenth of it


def index_cased(config: str | Path, captions: str | Path | Sequence[str] | None = None, column: str | None = None,
                out: str | Path | None = None, weights: str | None = None, device: str | None = None,
                overwrite: bool = False, cfg_options: Mapping[str, Any] | None = None,
                quiet: bool = False) -> IndexResult:
    """Embed captions, each once; captions that the file has stay in it.

    Args:
        config: of a ``CaSED`` model, file or name.
        captions: a file (see :func:`.read_captions`), or the captions. None: the config's ``captions`` (a file), else
            those of its ``archive`` (a dataset whose samples have captions).
        column: of a table.
        out: the file. None: the config's ``model.index``.
        weights: of CLIP, other than the config's; 'random' for tests.
        device, overwrite, cfg_options, quiet: as of :func:`.index_reco`.

    Raises:
        MissingFileError, DataError: no such file, or no caption in it; see :func:`.read_captions`.
        CheckpointError: the file was made with another CLIP.
        ConfigError: a config of another method, or without captions where none are given.
    """
    cfg = index_config(config, 'CaSED', weights, cfg_options)
    path = out_file(out, cfg)
    texts = _captions(cfg, captions, column)
    old = read_index(path, 'cased', _COMMAND) if path.is_file() and not overwrite else None
    model = open_model(cfg, device, index=None)
    have, vectors = [], []
    if old is not None:
        check_same_network(old.tensors['clip'], model.probe(), path, 'CLIP', _COMMAND)
        have, vectors = list(old.texts['captions']), [old.tensors['embeddings']]
    known = set(have)
    new = [caption for caption in dict.fromkeys(texts) if caption not in known]
    result, saved = IndexResult(path, skipped=len(set(texts)) - len(new)), len(have)
    for start in progress(range(0, len(new), _BATCH), 'index: captions', quiet=quiet):
        some = new[start:start + _BATCH]
        vectors.append(F.normalize(model.clip.text.encode_texts(some), dim=1).half().cpu())
        have += some
        result.written += len(some)
        if len(have) - saved >= max(_LEAST_NEW, saved // 10):
            vectors, saved = [_write(path, model, have, vectors)], len(have)
    if result.written:
        _write(path, model, have, vectors)
    return result


def _captions(cfg: Config, given: str | Path | Sequence[str] | None, column: str | None) -> list[str]:
    if given is None and cfg.get('captions'):
        given = cfg.captions
    if given is None:
        dataset = archive_dataset(cfg, 'name a file of captions with --captions')
        found = [dataset[i].get('caption') for i in range(len(dataset))]
        if not found or found[0] is None:
            raise ConfigError(f"{cfg.filename}: the dataset of `archive` gives no captions; for ToyWorld say "
                              "supervision=('caption', ).")
        return [text for one in found for text in ([one] if isinstance(one, str) else one)]
    return read_captions(str(given), column) if isinstance(given, (str, Path)) else list(given)


def _write(path: Path, model: CaSED, captions: Sequence[str], vectors: Sequence[Tensor]) -> Tensor:
    """Write what there is; returns the embeddings in one piece."""
    embeddings = torch.cat(list(vectors))
    write_index(path, 'cased', dict(embeddings=embeddings, clip=model.probe()), dict(captions=captions),
                dict(clip=model.clip.name))
    return embeddings
