"""ToCo against the goldens."""
import torch
import torch.nn.functional as F

from mmseg_weak.engine.schedulers import WarmupPolyLR
from mmseg_weak.methods.weak import toco
from mmseg_weak.models.cam import multi_scale, refined_labels, seeds
from mmseg_weak.models.losses import dense_energy, split_cross_entropy
from mmseg_weak.models.refine import PAR


def ptc(arrays, settings):
    """Labels, regions, pair targets and the loss."""
    ignore, thr = settings['ignore_index'], settings['bkg_thre']
    high, low = settings['high_thre'], settings['low_thre']
    present, cam = arrays['cls_label'], arrays['cam']
    valid = seeds.keep_present(cam, present)
    label = seeds.cam_to_seed(cam, present, thr, high, low, arrays['img_box'], ignore)
    target = toco.affinity_target(label, ignore)
    return dict(valid_cam=valid, pseudo_label=label, eval_label=seeds.cam_to_seed(cam, present, thr),
                roi_mask=seeds.cam_to_regions(valid, low, high), aff_mask=target,
                loss=toco.patch_token_contrast(arrays['fmap'], target))


def ctc(arrays, settings):
    """One loss a temperature."""
    return {name: toco.class_token_contrast(arrays['student'], arrays['teacher'], arrays['flags'], eps=settings['eps'],
                                            **variant) for name, variant in settings['variants'].items()}


def ctc_head(arrays, settings):
    """The projection head with given weights."""
    state = {k.removeprefix('param.'): v for k, v in arrays.items() if k.startswith('param.')}
    out, width = state['last_layer.weight_v'].shape
    head = toco.ClassTokenProjector(arrays['x'].shape[1], out, state['mlp.0.weight'].shape[0], width)
    head.load_state_dict(state)
    return dict(y=head(arrays['x']))


def energy_loss(arrays, settings):
    """The energy, and the filter alone."""
    image = arrays['image_normalised']
    loss = dense_energy.DenseEnergyLoss(float(arrays['sigma_rgb']), float(arrays['sigma_xy']),
                                        float(arrays['scale_factor']), float(arrays['weight']),
                                        mean=settings['mean'], std=settings['std'])
    region = seeds.box_mask(arrays['img_box'], tuple(image.shape[-2:]))
    return dict(loss=loss(arrays['logit'], image, arrays['label'], region, settings['ignore_index']),
                filter_out=dense_energy.bilateral_filter(arrays['filter_in'], arrays['filter_image'],
                                                         settings['filter_sigma_xy'], settings['filter_sigma_rgb']))


def multi_scale_cam(arrays, settings):
    """Main and auxiliary maps of the toy network."""
    out = {}
    for name, weight in (('cam', 'w_main'), ('cam_aux', 'w_aux')):
        def network(x, kernel=arrays[weight][:, :, None, None]):
            return F.conv2d(F.avg_pool2d(x, settings['patch_size']), kernel)
        raw = multi_scale.multi_scale_cam(network, arrays['image'].float(), arrays['scales'].tolist(), flip='max')
        out[name] = seeds.normalize_cam(raw, 'minmax', settings['eps'])
    return out


def poly_warmup_lr(arrays, settings):
    """Rates of the scheduler, step by step."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in settings['group_multipliers']]
    optimizer = torch.optim.SGD([dict(params=[p], lr=float(arrays['base_lr']) * m)
                                 for p, m in zip(parameters, settings['group_multipliers'])])
    scheduler = WarmupPolyLR(optimizer, int(arrays['max_iter']), int(arrays['warmup_iter']),
                             float(arrays['warmup_ratio']), float(arrays['power']))
    rates = []
    for _ in range(settings['num_steps']):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return dict(lr_used_at_step=torch.tensor(rates, dtype=torch.float64))


def refine_cams(arrays, settings):
    """Pseudo labels."""
    par = PAR(settings['par_iterations'], settings['par_dilations'])
    return dict(refined_label=refined_labels(
        arrays['cams'], arrays['images'], arrays['cls_label'], par, arrays['img_box'], settings['high_thre'],
        settings['low_thre'], settings['down_scale'], settings['ignore_index']))


def roi_crops(arrays, settings):
    """Flags of given crops."""
    return dict(flags=toco.crop_flags(arrays['roi_mask'], arrays['top_left_yx'], int(arrays['crop_size']),
                                      settings['roi_threshold'], settings['num_global']))


def seg_loss(arrays, settings):
    """Cross-entropy by halves."""
    return dict(loss=split_cross_entropy.split_cross_entropy(arrays['pred'], arrays['label'],
                                                             ignore_index=settings['ignore_index']))
