"""ReCo's index: the embeddings of a bank of pictures, and the references of names that are made of it."""
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weak.errors import DataError
from mmseg_weak.methods.openvocab.reco import ReCo, retrieve, square
from mmseg_weak.models.clip import OpenCLIP
from mmseg_weak.models.clip.index_file import Index, check_same_network, read_index, write_index

from .index_common import IndexResult, archive_images, image_batches, index_config, open_model, out_file
from .open_vocab import as_names
from .progress import progress

__all__ = ['index_reco']

_COMMAND = 'mmseg-weak index reco CONFIG --overwrite'
_BATCH = 32
_LEAST_NEW = 4096  # pictures between two writings of a bank in the making; from 40,000 on a tenth of it


def index_reco(config: str | Path, images: str | Path | Iterable[str | Path] | None = None,
               text: str | Path | Iterable[str] | None = None, out: str | Path | None = None,
               weights: str | None = None, device: str | None = None, overwrite: bool = False,
               cfg_options: Mapping[str, Any] | None = None, quiet: bool = False) -> IndexResult:
    """Embed a bank of pictures and make references of names; what is in the file already is not made again.

    Args:
        config: of a ``ReCo`` model, file or name.
        images: the bank: files, folders and globs. None: the bank that the file has, else the config's ``archive``.
        text: names, see :func:`.open_vocab.as_names`. None: the config's.
        out: the file. None: the config's ``model.index``.
        weights: of the dense CLIP, other than the config's; 'random' for tests.
        device: as torch names it; the GPU where there is one, by default.
        overwrite: begin anew.
        cfg_options: dotted keys and values.
        quiet: no progress bar.

    Raises:
        MissingFileError, DataError: no image, no readable one, or a file that is no index of ReCo.
        CheckpointError: the file was made with other networks.
        ConfigError: a config of another method, without archive where one is needed.
    """
    cfg = index_config(config, 'ReCo', weights, cfg_options)
    path = out_file(out, cfg)
    result = IndexResult(path)
    old = read_index(path, 'reco', _COMMAND) if path.is_file() and not overwrite else None
    keeps_bank = old is not None and images is None
    paths = list(old.texts['pictures']) if keeps_bank else archive_images(cfg, images)  # before any heavy model
    model = open_model(cfg, device, index=str(path))
    if old is not None:
        model.read()  # refuses the file of other networks or settings
    names = list(as_names(text, '').names) if text is not None else list(model.names.names)
    retriever = _Retriever(model, cfg.model.get('retrieval') if weights != 'random' else None)
    bank = _Bank(model, retriever, old, path, result)
    bank.fill(paths, quiet)
    bank.refer(names, quiet)
    result.names = list(bank.references)
    return result


class _Retriever:
    """The CLIP that compares pictures with names."""

    def __init__(self, model: ReCo, config: dict | None) -> None:
        device = model.clip.logit_scale.device
        self.clip: OpenCLIP = MODELS.build(config).to(device) if config else model.clip
        self.side, self.device, self.normalise = self._side(), device, model.for_clip

    def _side(self) -> int:
        visual = self.clip.vision.visual
        size = getattr(visual, 'image_size', 224)
        return int(size[0] if isinstance(size, (tuple, list)) else size)

    @torch.no_grad()
    def embed(self, pictures: Tensor) -> Tensor:
        """(n,3,side,side) RGB -> (n,d) float16 unit vectors on the CPU."""
        return self.clip.encode_image(self.normalise(pictures.to(self.device))).half().cpu()

    def probe(self) -> Tensor:
        """What it says about a fixed sentence."""
        return self.clip.text.encode_texts(['a photo of a dog.'])[0].cpu()


class _Bank:
    """An index in the making."""

    def __init__(self, model: ReCo, retriever: _Retriever, old: Index | None, path: Path, result: IndexResult) -> None:
        self.model, self.retriever, self.path, self.result = model, retriever, path, result
        self.pictures: list[str] = []
        self.embeddings = torch.zeros(0, 0)
        self.references: dict[str, Tensor] = {}
        self.found: dict[str, Tensor] = {}
        self.old = old
        if old is not None:
            check_same_network(old.tensors['retrieval'], retriever.probe(), path, 'retrieval CLIP', _COMMAND)

    def fill(self, paths: Sequence[str], quiet: bool) -> None:
        """Embed what the file has not."""
        known = {}
        if self.old is not None:
            known = dict(zip(self.old.texts['pictures'], self.old.tensors['embeddings']))
        rows = {path: known[path] for path in dict.fromkeys(paths) if path in known}
        todo = [path for path in dict.fromkeys(paths) if path not in known]
        self.result.skipped += len(rows)
        batches = image_batches(progress(todo, 'index: pictures', quiet=quiet),
                                lambda image: square(image, self.retriever.side), _BATCH, self.result.broken)
        saved = len(rows)
        for names, pictures in batches:
            rows.update(zip(names, self.retriever.embed(pictures)))
            self.result.written += len(names)
            if len(rows) - saved >= max(_LEAST_NEW, saved // 10):
                self._keep(rows)
                saved = self.write()
        if not rows:
            raise DataError(f'none of {len(self.result.broken)} images could be read; the first: '
                            f'{self.result.broken[0][1]}')
        self._keep(rows)
        if self.old is not None and rows.keys() == known.keys():
            self.references = dict(zip(self.old.texts['names'], self.old.tensors['references']))
            self.found = dict(zip(self.old.texts['names'], self.old.tensors['found']))
        if self.result.written:
            self.write()

    def _keep(self, rows: Mapping[str, Tensor]) -> None:
        self.pictures, self.embeddings = list(rows), torch.stack(list(rows.values()))

    def refer(self, names: Sequence[str], quiet: bool) -> None:
        """Make the references that are missing; where the bank has changed, those of the file too."""
        before = set(self.references)
        if self.old is not None:
            names = list(dict.fromkeys([*self.old.texts['names'], *names]))
        made = self.model.make_references(names, self._retrieved, self.references)
        total = len(dict.fromkeys([*self.model.contexts, *names])) - len(before)
        for name, vector in progress(made, 'index: references', max(total, 0), quiet):
            self.references[name] = vector
            self.result.written += 1
            if len(self.references) % 20 == 0:
                self.write()
        self.result.skipped += len(before)
        if self.result.written:
            self.write()

    @torch.no_grad()
    def _retrieved(self, name: str) -> Tensor:
        """Pictures of a name, best first, squares of the model's size."""
        text = self.retriever.clip.encode_names([name])[0].cpu()
        order = retrieve(self.embeddings.float(), text, self.model.count)
        self.found[name] = F.pad(order, (0, self.model.count - len(order)), value=-1).int()
        broken: list[tuple[str, str]] = []
        batches = image_batches([self.pictures[i] for i in order.tolist()],
                                lambda image: square(image, self.model.picture_px), self.model.count, broken)
        pictures = [batch for _, batch in batches]
        if not pictures:
            raise DataError(f'none of the {len(order)} pictures of {name!r} in {self.path} can be read any more; the '
                            f'first: {broken[0][1]}')
        self.result.broken += broken
        return torch.cat(pictures).to(self.retriever.device)

    def write(self) -> int:
        """Write what there is; returns the number of pictures."""
        names = list(self.references)
        nothing = torch.zeros(0, 0)
        tensors = dict(embeddings=self.embeddings, retrieval=self.retriever.probe(), **self.model.probes(),
                       references=torch.stack([self.references[n] for n in names]) if names else nothing,
                       found=torch.stack([self.found[n] for n in names]) if names else nothing)
        digest = hashlib.sha256('\0'.join(self.pictures).encode('utf-8', 'surrogateescape')).hexdigest()
        write_index(self.path, 'reco', tensors, dict(pictures=self.pictures, names=names),
                    dict(settings=self.model.settings(), clip=self.retriever.clip.name, bank=digest[:16]))
        return len(self.pictures)
