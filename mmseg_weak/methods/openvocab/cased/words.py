"""From captions to candidate words."""
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

__all__ = ['DROP_WORDS', 'STEPS', 'candidate_words', 'clean_caption', 'may_name', 'singular']

DROP_WORDS = ('image', 'photo', 'picture', 'thumbnail', 'logo', 'symbol', 'clipart', 'portrait', 'painting',
              'illustration', 'icon', 'profile')
# Words of the closed classes, by their spelling after the clean-up: none is a noun or an adjective, so that a tagger
# would drop them too.
_FUNCTION_WORDS = frozenset('''
about above across after again against all along also although among and another any are around because been before
behind being below beneath beside between beyond both but can could did doe does doing down during each either else
every few for from had has have having her here hers herself him himself his how however its itself just may might more
most much must myself near neither nor not off once one only onto other our ours out over own per rather shall she
should since some such than that the their theirs them themselves then there these they this those though through thi
throughout thus till too toward towards two under until unto upon very was were what when where whether which while who
whom whose why will with within without would yet you your yours three four five six seven eight nine ten let into wa ha
'''.split())
_KEPT_ENDINGS = ('ss', 'us', 'is', 'ies', 'oes')
_IRREGULAR = {'knives': 'knife', 'wives': 'wife', 'lives': 'life', 'leaves': 'leaf', 'wolves': 'wolf',
              'shelves': 'shelf', 'loaves': 'loaf', 'calves': 'calf', 'halves': 'half', 'scarves': 'scarf',
              'thieves': 'thief', 'elves': 'elf', 'hooves': 'hoof', 'horses': 'horse', 'houses': 'house',
              'axes': 'axe', 'gases': 'gas'}


@cache
def _engine() -> Any:
    """The package ``inflect``'s, where it is installed."""
    try:
        import inflect
    except ImportError:
        return None
    return inflect.engine()


def singular(word: str, kept_endings: Iterable[str] = _KEPT_ENDINGS) -> str:
    """A lower-case noun in the singular; words without an s at their end, or with a kept ending, stay.

    >>> [singular(w) for w in ('dogs', 'glasses', 'buses', 'boxes', 'horses', 'taxis', 'grass')]
    ['dog', 'glass', 'bus', 'box', 'horse', 'taxis', 'grass']
    """
    if not word.endswith('s') or word.endswith(tuple(kept_endings)):
        return word
    engine = _engine()
    if engine is not None:
        return engine.singular_noun(word) or word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if re.search(r'(ss|x|zz|ch|sh)es$', word) or (len(word) > 4 and re.search(r'[^aeo]uses$', word)):
        return word[:-2]
    return word[:-1]


def _frequent(text: str, min_count: int) -> str:
    """Words that occur ``min_count`` times; where none does, those that occur most often."""
    words = text.split()
    counts = Counter(words)
    need = min(min_count, max(counts.values(), default=0))
    return ' '.join(word for word in words if counts[word] >= need)


# In this order; an extension is a dot and what follows it, so that a full stop without a space takes the next word.
STEPS: dict[str, Callable[..., str]] = {
    'DropTokens': lambda text, **_: re.sub(r'<[^>]*>', '', text),
    'DropURLs': lambda text, **_: re.sub(r'https?://\S+|www\.\S+', '', text),
    'DropSpecialCharacters': lambda text, **_: re.sub(r"[^\w\s\-.'&]", '', text),
    'DropFileExtensions': lambda text, **_: re.sub(r'\.\w+', '', text),
    'ReplaceSeparators': lambda text, **_: re.sub(r'[_\-]', ' ', text),
    'DropShortWords': lambda text, min_length, **_: ' '.join(w for w in text.split() if len(w) >= min_length),
    'DropNonAlpha': lambda text, **_: re.sub(r'[^a-zA-Z\s]', '', text),
    'ToLowercase': lambda text, **_: text.lower(),
    'ToSingular': lambda text, **_: ' '.join(singular(word) for word in text.split()),
    'DropWords': lambda text, drop_words, **_: re.sub(rf"\b({'|'.join(drop_words)})\b", '', text),
    'FrequencyMinWordCount': lambda text, min_count, **_: _frequent(text, min_count),
}


def clean_caption(text: str, min_length: int = 3, min_count: int = 2, drop_words: Iterable[str] = DROP_WORDS
                  ) -> dict[str, str]:
    """The text after each of :data:`STEPS`.

    Args:
        text: an image's captions, joined by spaces.
        min_length: letters of a word.
        min_count: how often a word must occur.
        drop_words: words about the picture, not about what it shows.
    """
    out, options = {}, dict(min_length=min_length, min_count=min_count, drop_words=tuple(drop_words))
    for name, step in STEPS.items():
        text = out[name] = step(text, **options)
    return out


def may_name(word: str) -> bool:
    """Whether a word can name a thing, as far as its spelling tells: it is no function word and no small number.

    >>> [word for word in 'the dog with three black spot'.split() if may_name(word)]
    ['dog', 'black', 'spot']
    """
    return word not in _FUNCTION_WORDS


def candidate_words(captions: Iterable[str], keep: Callable[[str], bool] | None = None, **options) -> list[str]:
    """Words that may name what an image shows, each once, in the order in which they come.

    Args:
        captions: of the image.
        keep: whether a word may stay, a test of its part of speech (nouns, adjectives, gerunds in the paper).
        **options: of :func:`clean_caption`.

    Returns:
        Words; 'object' where none is left.
    """
    text = list(clean_caption(' '.join(captions), **options).values())[-1]
    words = [word for word in dict.fromkeys(text.split()) if keep is None or keep(word)]
    return words or ['object']
