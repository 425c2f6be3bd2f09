"""What every method keeps, whatever it is: one finite step, gradients, a state dict that is all of it, a prediction."""
import copy

import torch
from mmengine.optim import OptimWrapper
from mmseg.structures import SegDataSample


class _Watched(OptimWrapper):
    """Notes which parameters had no gradient when the last step was made (it is set back right after)."""
    without: list[str] = []

    def __init__(self, model) -> None:
        self.named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        super().__init__(torch.optim.SGD([p for _, p in self.named], lr=1e-3))

    def step(self, **kwargs) -> None:
        self.without = [n for n, p in self.named if p.grad is None]
        super().step(**kwargs)


def _start(model) -> None:
    """What the hooks do before training."""
    teacher = getattr(model, 'teacher', None)
    if teacher is not None:
        teacher.start(model.student)
    model.train()


def test_step_gradients_state_and_prediction(config, small_model, small_batch):
    model, side = small_model(config)
    _start(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = _Watched(model)
    log = model.train_step(small_batch(model, side), optimizer)
    assert torch.isfinite(log['loss']), log
    assert optimizer.without == [], f'no gradient for {optimizer.without[:5]}'
    assert all(torch.isfinite(p).all() for p in model.parameters())
    moved = [n for n, p in model.named_parameters() if not p.requires_grad and not torch.equal(p, before[n])]
    assert all(n.startswith('teacher.') for n in moved), f'frozen parameters moved: {moved[:5]}'

    twin, _ = small_model(config)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    seen, again = (m.eval().val_step(_one(small_batch(m, side, seed=3)))[0] for m in (model, twin))
    assert seen.pred_sem_seg.data.shape == (1, side, side)
    kept = 'seg_logits' if 'seg_logits' in seen else 'confidence'  # what a method that finds names gives
    assert torch.equal(seen.get(kept).data, again.get(kept).data)


def _one(batch: dict) -> dict:
    sample = batch['data_samples'][0]
    sample.set_metainfo(dict(pad_shape=sample.img_shape))
    return dict(inputs=batch['inputs'][:1], data_samples=[sample])


def test_seeds_without_training_are_the_tags(tags_only_config, small_model, small_batch):
    model, side = small_model(tags_only_config)
    twin, _ = small_model(tags_only_config)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(1)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    batch = small_batch(model, side)
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(pad_shape=sample.img_shape, ori_shape=(50, 73)))
    tags = [sample.gt_image_label for sample in batch['data_samples']]
    seen, again = (m.test_step(copy.deepcopy(batch)) for m in (model, twin))
    for one, other, known in zip(seen, again, tags):
        assert one.pred_sem_seg.data.shape == (1, 50, 73)
        allowed = {0} | {k + 1 for k in known.nonzero().flatten().tolist()}
        assert set(one.pred_sem_seg.data.unique().tolist()) <= allowed
        assert torch.equal(one.seg_logits.data, other.seg_logits.data)


def test_prediction_without_training_and_state(test_only_config, small_open_vocab):
    model, twin = small_open_vocab(test_only_config), small_open_vocab(test_only_config, seed=1)
    assert not any(p.requires_grad for p in model.parameters())
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    image = torch.randint(256, (3, 41, 60), dtype=torch.uint8)
    data = [SegDataSample(metainfo=dict(img_shape=(41, 60), ori_shape=(50, 73))) for _ in range(2)]
    seen, again = (m.test_step(dict(inputs=[image], data_samples=[d]))[0] for m, d in zip((model, twin), data))
    assert seen.pred_sem_seg.data.shape == seen.confidence.data.shape == (1, 50, 73)
    assert seen.pred_sem_seg.data.max() < model.num_classes
    assert torch.equal(seen.confidence.data, again.confidence.data)
