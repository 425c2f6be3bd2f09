"""Configs as text that people like to read and edit."""
import textwrap
from collections.abc import Mapping
from typing import Any

__all__ = ['format_config']


def format_config(sections: Mapping[str, Any], head: str = '', notes: Mapping[str, str] | None = None,
                  width: int = 110) -> str:
    """Write a config file.

    Args:
        sections: top-level keys, in the order in which they shall stand.
        head: text of the comment at the top.
        notes: comments above some of the keys.
        width: longest line.

    Returns:
        Python text that mmengine's ``Config.fromfile`` reads.

    >>> print(format_config(dict(a=1, b=dict(type='X', c=[1, 2])), 'An example.'), end='')
    # An example.
    a = 1
    b = dict(type='X', c=[1, 2])
    """
    lines = _comment(head, width)
    for key, value in sections.items():
        note = (notes or {}).get(key, '')
        if note:
            lines += ['', *_comment(note, width)]
        lines.append(f'{key} = {_format(value, 0, width, len(key) + 3)}')
    return '\n'.join(lines) + '\n'


def _comment(text: str, width: int) -> list[str]:
    return [f'# {line}' for part in text.splitlines() for line in textwrap.wrap(part, width - 2) or ['']]


def _format(value: Any, indent: int, width: int, used: int) -> str:
    """A value on one line if it fits, else one item a line."""
    flat = _flat(value)
    if indent + used + len(flat) + 1 <= width or not isinstance(value, (Mapping, list, tuple)) or not value:
        return flat
    pad = ' ' * (indent + 4)
    if isinstance(value, Mapping) and all(isinstance(k, str) and k.isidentifier() for k in value):
        items = [f'{pad}{k}={_format(v, indent + 4, width, len(k) + 1)}' for k, v in value.items()]
        opening, closing = 'dict(', ')'
    elif isinstance(value, Mapping):
        items = [f'{pad}{k!r}: {_format(v, indent + 4, width, len(repr(k)) + 2)}' for k, v in value.items()]
        opening, closing = '{', '}'
    else:
        opening, closing = ('[', ']') if isinstance(value, list) else ('(', ')')
        if all(isinstance(v, (int, float, str)) for v in value):  # a list of names: filled lines
            text = textwrap.fill(', '.join(map(repr, value)), width, initial_indent=pad, subsequent_indent=pad,
                                 break_long_words=False, break_on_hyphens=False)
            if not any(isinstance(v, str) and ' ' in v for v in value):  # wrapping must not cut a name
                return f'{opening}\n{text},\n{" " * indent}{closing}'
        items = [f'{pad}{_format(v, indent + 4, width, 0)}' for v in value]
    return opening + '\n' + ',\n'.join(items) + ',\n' + ' ' * indent + closing


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and k.isidentifier() for k in value):
            return f'dict({", ".join(f"{k}={_flat(v)}" for k, v in value.items())})'
        return f'{{{", ".join(f"{k!r}: {_flat(v)}" for k, v in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_flat, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_flat, value))}{"," if len(value) == 1 else ""})'
    return repr(value)
