"""Sentences that class names are put into."""
from collections.abc import Iterable

from mmseg_weak.errors import ConfigError, near

__all__ = ['TEMPLATES', 'resolve_templates']

# Published subsets and additions; 'imagenet' and 'imagenet_7' are open_clip's own and are read from it.
TEMPLATES: dict[str, tuple[str, ...] | None] = {
    'imagenet': None,  # the 80 of OpenAI: SCLIP, ClearCLIP, NACLIP, ProxyCLIP, Trident
    'imagenet_7': None,  # OpenAI's subset of 7
    'maskclip': None,  # those 80 and 5 about a scene: MaskCLIP, ReCo
    'photo': ('a photo of a {}.', ),  # GEM
    'origami': ('a clean origami {}.', ),  # CLIP-ES, ExCEL
    'name': ('{}', ),
    'photo-de': ('ein Foto von {}.', ),
    'photo-es': ('una foto de {}.', ),
    'photo-fr': ('une photo de {}.', ),
    'photo-it': ('una foto di {}.', ),
    'photo-ja': ('{}の写真', ),
    'photo-pt': ('uma foto de {}.', ),
    'photo-ru': ('фото: {}.', ),
    'photo-zh': ('{}的照片', ),
}
_SCENE = ('there is a {} in the scene.', 'there is the {} in the scene.', 'this is a {} in the scene.',
          'this is the {} in the scene.', 'this is one {} in the scene.')


def resolve_templates(templates: str | Iterable[str] = 'imagenet') -> tuple[str, ...]:
    """Templates as strings with one ``{}`` each.

    Args:
        templates: a name of :data:`TEMPLATES`, one string with ``{}``, or several.

    Raises:
        ConfigError: unknown name, no template, or one without exactly one ``{}``.
    """
    if isinstance(templates, str) and '{}' not in templates:
        if templates not in TEMPLATES:
            raise ConfigError(f'templates={templates!r} is no set of templates. {near(templates, TEMPLATES)} Known: '
                              f"{', '.join(TEMPLATES)}; or give sentences with {{}} in the name's place.")
        if TEMPLATES[templates] is not None:
            return TEMPLATES[templates]
        import open_clip
        some = open_clip.SIMPLE_IMAGENET_TEMPLATES if templates == 'imagenet_7' else open_clip.OPENAI_IMAGENET_TEMPLATES
        return tuple(template('{}') for template in some) + (_SCENE if templates == 'maskclip' else ())
    found = (templates, ) if isinstance(templates, str) else tuple(templates)
    if not found:
        raise ConfigError("templates is empty; give at least '{}', which is the name alone.")
    for template in found:
        if template.count('{}') != 1:
            raise ConfigError(f"The template {template!r} has {template.count('{}')} places for a name; write {{}} "
                              'once in each.')
    return found
