"""OVDiff against the goldens."""
import torch

from mmseg_weak.methods.openvocab import ovdiff


def attention_heatmap(arrays, settings):
    """Heat of each group; -1 pads a group."""
    groups = [[t for t in group if t >= 0] for group in arrays['token_groups'].tolist()]
    calls = [arrays[name] for name in settings['calls']]
    return dict(heatmaps=ovdiff.attention_heatmap(calls, int(arrays['heads']), groups,
                                                  settings['classifier_free_guidance']))


def build_prototypes(arrays, settings):
    """One bank a variant; class 0 is the word for the background and has none."""
    names, out = settings['class_names'][1:], {}
    for variant, rule in settings['variants'].items():
        def rows(name, polarity, kinds=rule['kinds']):
            parts = [arrays[f'in.{name}{settings["kinds"][polarity][kind]}'] for kind in kinds]
            return torch.cat([p[None] if p.dim() == 1 else p for p in parts])
        classes = [ovdiff.ClassPrototypes(rows(name, 'fg'), rows(name, 'bg')) for name in names]
        bank = ovdiff.gather_prototypes(classes, arrays['is_stuff'][1:].tolist(), rule['filter_bg_thres'],
                                        rule['ctx_mode'])
        out.update({f'{variant}_prototypes': bank.features, f'{variant}_proto_class': bank.owner,
                    f'{variant}_label_of_proto': bank.label})
    return out


def mask_choice(arrays, settings):
    """Object and background."""
    chosen = ovdiff.choose_masks(arrays['masks'], arrays['heatmap'][0], settings['heat_threshold'])
    return dict(weights=chosen.weights, order=chosen.order, fg=chosen.fg, bg=chosen.bg, bg_thresholded=chosen.cold,
                bg_eroded=chosen.eroded)


def score_map(arrays, settings):
    """Scores at both sizes, and labels."""
    bank = ovdiff.Prototypes(arrays['prototypes'], arrays['proto_class'], arrays['label_of_proto'])
    features = arrays['features'].permute(2, 0, 1)[None]
    low = ovdiff.prototype_scores(features, bank, arrays['present_classes'][None], settings['absent_score'])
    size = tuple(n * settings['upsample_factor'] for n in low.shape[-2:])
    high = ovdiff.upsample_scores(low, size)
    return dict(scores_lowres=low[0], scores_up=high[0], labels=ovdiff.prototype_labels(high)[0])
