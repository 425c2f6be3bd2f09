"""BAS against the goldens."""
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from mmseg_weak.methods.weak import bas
from mmseg_weak.methods.weak.bas.network import BASNetwork
from mmseg_weak.models.cam import merge_scales, scale_maps

_NAMES = dict(layer4='backbone', classifier_cls='classifier', classifier_loc='generator')


class _Stub(nn.Module, BASNetwork):
    """The goldens' network: one convolution and ReLU for layer4."""

    def __init__(self, state, pool):
        super().__init__()
        for name in _NAMES.values():
            weight, bias = (state.get(f'{name}.0.{kind}') for kind in ('weight', 'bias'))
            conv = nn.Conv2d(*weight.shape[1::-1], weight.shape[2:], padding=weight.shape[2] // 2,
                             bias=bias is not None)
            setattr(self, name, nn.Sequential(conv, nn.ReLU()) if name == 'backbone' else nn.Sequential(conv))
        self.tail, self.pool = ('0', '1'), pool

    def forward(self, features, labels, options):
        maps = self.foreground_maps(features)
        return maps, bas.suppress(features, maps, labels, self.score_net, **options)


def _run(arrays, labels, pool=1, **options):
    """All maps, and the step for the labels."""
    state = {}
    for key, value in arrays.items():
        if key.startswith('param.'):
            part, *rest = key.removeprefix('param.').split('.')
            state[f'{_NAMES[part]}.0.{rest[-1]}'] = value.double()
    net = _Stub(state, pool)
    assert set(state) == set(net.state_dict())
    return torch.func.functional_call(net, state, (arrays['feat3'].double(), labels, options))


def multilabel_ce(arrays, settings):
    """One present class against all absent ones."""
    return dict(loss=bas.one_against_absent(arrays['logits'], arrays['label']))


def wsol_forward(arrays, settings):
    """A step of localisation."""
    label = arrays['label']
    maps, found = _run(arrays, label, settings['pool'], eps=settings['eps'])
    losses = partial(bas.bas_losses, found, label, lambda scores: F.cross_entropy(scores, label), None)
    plain = losses(1.0, 1.0)
    return dict(score_1=found.scores, score_2=found.foreground_scores, bas=found.ratio, area=found.area,
                M_fg=found.maps, S=found.target, S_bg=found.background, loss_1=plain['loss_cls'],
                loss_2=plain['loss_frg'], total=sum(losses(float(arrays['alpha']), float(arrays['beta'])).values()),
                M_fg_topk=bas.top_maps(maps, found.scores, int(arrays['topk'])))


def wsss_forward(arrays, settings):
    """A step of segmentation."""
    drawn, present = arrays['p_label'], arrays['label']
    maps, found = _run(arrays, drawn, stop_activations=True, eps=settings['eps'])
    losses = partial(bas.bas_losses, found, drawn, partial(bas.one_against_absent, present=present), None)
    plain = losses(1.0, 1.0)
    views = scale_maps(lambda x: _run(dict(arrays, feat3=x), drawn[:1].repeat(len(x)), stop_activations=True)[0],
                       arrays['feat3'][:1].double(), (1.0,))
    return dict(score_1=found.scores, M_fg=found.maps, S=found.target, S_bg=found.background,
                score_2=found.foreground_scores, cls_loss_2=plain['loss_frg'], bas=plain['loss_bas'],
                area=plain['loss_area'], loss_cls_multi=plain['loss_cls'],
                total=sum(losses(settings['weight_frg'], settings['weight_area']).values()),
                inference_map=merge_scales(views, tuple(maps.shape[2:]), 'sum')[0])
