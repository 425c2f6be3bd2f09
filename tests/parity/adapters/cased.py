"""CaSED against the goldens."""
import math

import numpy as np

from mmseg_weak.methods.openvocab import cased


def batch_step(arrays, settings):
    """One alpha a run."""
    counts = [arrays[name].tolist() for name in ('captions_per_image', 'words_per_image')]
    scale = math.exp(settings['logit_scale_log'])
    given = arrays['images_z'], arrays['captions_z'], counts[0], arrays['words_z'], counts[1]
    return {name: cased.candidate_probs(*given, run['alpha'], scale, settings['tau'])
            for name, run in settings['runs'].items()}


def nn_classifier(arrays, settings):
    """One set of supports a run."""
    scale = float(arrays['logit_scale'].exp())
    return {name: cased.neighbour_probs(arrays['query'], arrays[run['supports']],
                                        arrays['mask'] if run['mask'] else None, scale, run['tau'])
            for name, run in settings['runs'].items()}


def dense_accumulate(arrays, settings):
    """Boxes, and crops on the map."""
    boxes = cased.crop_boxes(arrays['grid_sizes'].tolist(), settings['stride_grid'])
    cells, whole = cased.embed_cells(arrays['crops_z'], boxes, tuple(arrays['pixel_map'].tolist()))
    return dict(bboxes_xywh_rel=boxes, bboxes_int=whole[None], pixel_z=cells, ncrops=len(boxes))


def vocab_filter(arrays, settings):
    """Texts after each step."""
    cleaned = [cased.clean_caption(text, settings['min_length'], settings['min_count'], settings['drop_words'])
               for text in settings['captions_joined']]
    steps = [[texts[name] for name in settings['steps']] for texts in cleaned]
    return dict(after_each_step=np.array(steps), final_words_before_pos=np.array(
        ['|'.join(texts[settings['steps'][-1]].split()) for texts in cleaned]))
