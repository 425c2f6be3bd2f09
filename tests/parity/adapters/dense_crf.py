"""The dense CRF against the goldens; the lattice is the library's filter, so probabilities are compared too."""
from mmseg_weak.models.refine import DenseCRF, labels_to_probs


def dense_crf(arrays, settings):
    """q and argmax of each soft run, the label map of each hard one."""
    image = arrays['image'].permute(2, 0, 1)[None]
    out = {}
    for name, run in settings['runs'].items():
        crf = DenseCRF(num_iter=run['iterations'], gaussian_sxy_px=run['gaussian']['sxy'],
                       gaussian_weight=run['gaussian']['compat'], bilateral_sxy_px=run['bilateral']['sxy'],
                       bilateral_srgb=run['bilateral']['srgb'], bilateral_weight=run['bilateral']['compat'],
                       min_prob=settings['prob_clip'])
        if run['unary'] == 'prob':
            q = crf(arrays['prob'][None], image)[0]
            out[name], out[name.replace('q_', 'argmax_', 1)] = q, q.argmax(0)
        else:
            probs = labels_to_probs(arrays['hard_label'][None], settings['n_labels'], run['gt_prob'])
            out[name] = crf(probs, image)[0].argmax(0)
    return out
