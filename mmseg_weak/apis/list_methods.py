"""What there is: methods, their configs and what one may do with them."""
import json
import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from mmseg_weak.errors import ConfigError, near

from .config import configs_root

__all__ = ['MethodInfo', 'ModelInfo', 'format_methods', 'list_methods', 'methods_json']

# Marks, in licence names, of terms that forbid commercial use.
_RESEARCH_ONLY = ('nc', 'noncommercial', 'non-commercial', 'research', 'academic', 'unknown', 'flickr')


@dataclass
class ModelInfo:
    """One config of a method.

    Attributes:
        name: the config's name, which ``train`` takes.
        config: its file.
        supervision: what it learns from.
        weights: name and licence of the weights it starts from; both 'none' where it starts from scratch.
        data: name and licence of its training data.
        commercial: whether licences of weights and data allow commercial use; unknown counts as no.
        checkpoint: where a trained checkpoint lies, for ``fetch``; empty where there is none.
        results: of the metafile, the paper's marked ``Source: paper``.
    """
    name: str
    config: Path
    supervision: str = ''
    weights: dict[str, str] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    commercial: bool = False
    checkpoint: str = ''
    results: list[dict] = field(default_factory=list)


@dataclass
class MethodInfo:
    """A published method.

    Attributes:
        slug: its folder in ``configs/``, which ``new --method`` takes.
        name: as its authors call it.
        paper: title of the paper.
        url: address of the paper.
        licence: licence of our code for it.
        supervision: what it learns from.
        models: its configs.
    """
    slug: str
    name: str
    paper: str = ''
    url: str = ''
    licence: str = 'Apache-2.0'
    supervision: str = ''
    models: list[ModelInfo] = field(default_factory=list)


def list_methods(method: str | None = None, commercial_only: bool = False,
                 configs: str | Path | None = None) -> list[MethodInfo]:
    """Read what every ``configs/<method>/metafile.yml`` says.

    Args:
        method: slug or name of one method; all by default.
        commercial_only: leave out configs whose weights or data forbid commercial use, and methods left with none.
        configs: another folder of configs.

    Returns:
        Methods by slug.

    Raises:
        ConfigError: there is no such method, or a metafile cannot be read.
    """
    root = Path(configs) if configs is not None else configs_root()
    methods = [_read(file) for file in sorted(root.glob('*/metafile.yml'))]
    if method is not None:
        found = [info for info in methods if method.lower() in (info.slug.lower(), info.name.lower())]
        if not found:
            hint = near(method, [info.slug for info in methods])
            raise ConfigError(f'there is no method {method!r}. {hint} `mmseg-weak list` shows all'.replace('  ', ' '))
        methods = found
    if commercial_only:
        for info in methods:
            info.models = [model for model in info.models if model.commercial]
        methods = [info for info in methods if info.models]
    return methods


def _read(file: Path) -> MethodInfo:
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8')) or {}
    except yaml.YAMLError as error:
        line = getattr(getattr(error, 'problem_mark', None), 'line', 0) + 1
        raise ConfigError(f'{file} is no valid YAML (line {line}); mend it') from None
    collection = (content.get('Collections') or [{}])[0]
    paper = collection.get('Paper') or {}
    paper = paper[0] if isinstance(paper, list) else paper
    info = MethodInfo(file.parent.name, collection.get('Name', file.parent.name), paper.get('Title', ''),
                      paper.get('URL', ''), collection.get('License', 'Apache-2.0'))
    for entry in content.get('Models') or []:
        meta = entry.get('Metadata') or {}
        weights = {'name': 'none', 'licence': 'none', **_as_dict(meta.get('Weights'))}
        data = {'name': 'unknown', 'licence': 'unknown', **_as_dict(meta.get('Data'))}
        config = file.parent.parent / Path(entry.get('Config', '')).relative_to('configs') \
            if str(entry.get('Config', '')).startswith('configs/') else file.parent / str(entry.get('Config', ''))
        supervision = meta.get('Supervision', '')
        supervision = ', '.join(map(str, supervision)) if isinstance(supervision, list) else str(supervision)
        info.models.append(ModelInfo(entry.get('Name', config.stem), config, supervision, weights, data,
                                     _commercial(weights, data), entry.get('Weights') or '',
                                     entry.get('Results') or []))
    own = {model.supervision for model in info.models}
    info.supervision = ' / '.join(sorted(own - {''})) or str((collection.get('Metadata') or {}).get('Supervision', ''))
    return info


def _as_dict(value) -> dict:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else {}


def _commercial(weights: dict, data: dict) -> bool:
    """Whether both allow commercial use; an explicit ``commercial`` key wins over the licence's name."""
    return all(bool(part['commercial']) if 'commercial' in part else not _research_only(str(part['licence']))
               for part in (weights, data))


def _research_only(licence: str) -> bool:
    words = licence.lower().replace('(', ' ').replace(')', ' ').replace(',', ' ').replace('-', ' ').split()
    return any(mark in words or ('-' in mark and mark in licence.lower()) for mark in _RESEARCH_ONLY)


def format_methods(methods: list[MethodInfo], details: bool = False) -> str:
    """Methods as text for a terminal.

    Args:
        methods: of ``list_methods``.
        details: show every config of each, not only their number.

    Returns:
        A block a method.
    """
    blocks = []
    for info in methods:
        lines = [f'{info.slug}  ({info.name})', f'  learns from: {info.supervision or "not said"}']
        if info.paper:
            lines += textwrap.wrap(f'paper: {info.paper}{f", {info.url}" if info.url else ""}', 110,
                                   initial_indent='  ', subsequent_indent='    ', break_on_hyphens=False)
        lines.append(f'  our code: {info.licence}')
        if details:
            lines += [text for model in info.models for text in _model_lines(model)]
        elif info.models:
            kinds = sorted({(m.weights['name'], m.weights['licence'], m.data['name'], m.data['licence'])
                            for m in info.models})
            lines.append(f'  configs: {len(info.models)}, for example {info.models[0].name}')
            lines += [f'  weights: {weights} ({terms}); trained on {data} ({data_terms})'
                      for weights, terms, data, data_terms in kinds[:4]]
            lines += [f'  and {len(kinds) - 4} more combinations: mmseg-weak list {info.slug}'] * (len(kinds) > 4)
        blocks.append('\n'.join(lines))
    return '\n\n'.join(blocks) or 'No method is left.'


def _model_lines(model: ModelInfo) -> list[str]:
    terms = 'commercial use allowed' if model.commercial else 'research only'
    lines = [f'  {model.name}', f'    config: {model.config}',
             f'    weights: {model.weights["name"]} ({model.weights["licence"]}); data: {model.data["name"]} '
             f'({model.data["licence"]}); {terms}']
    if model.checkpoint:
        lines.append(f'    checkpoint: mmseg-weak fetch {model.name}')
    return lines


def methods_json(methods: list[MethodInfo]) -> str:
    """The same as JSON."""
    return json.dumps([asdict(info) for info in methods], default=str, indent=2, ensure_ascii=False)
