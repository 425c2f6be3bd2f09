"""What tests of semi-supervised methods share."""
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS


@pytest.fixture
def build(tiny_segmentor):
    """Function that builds a method on the tiny network, in train mode, its teacher started."""
    def make(kind: str, partner: bool = False, views: int = 2, auxiliary: bool = True, segmentor: dict | None = None,
             **kwargs):
        pre = dict(type='MultiBranchDataPreprocessor', size=(32, 32), partner=partner,
                   views={f'strong{i + 1}': dict(type='PhotometricView') for i in range(views)})
        model = MODELS.build(dict(type=kind, segmentor=segmentor or tiny_segmentor(auxiliary=auxiliary),
                                  data_preprocessor=pre, **kwargs)).train()
        if model.teacher is not None:
            model.teacher.start(model.student)
        return model
    return make


@pytest.fixture
def losses_of():
    """Function that returns a model's losses and their sum on a batch."""
    def run(model, data: dict, at: int | None = None):
        if at is not None:
            MessageHub.get_current_instance().update_info('iter', at)
        losses = model(**model.data_preprocessor(data, True), mode='loss')
        return losses, model.parse_losses(losses)[0]
    return run


@pytest.fixture
def sgd():
    """Function that returns an OptimWrapper of plain SGD over a model."""
    def make(model, lr: float = 0.05, momentum: float = 0.9, **kwargs):
        return OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum), **kwargs)
    return make


@pytest.fixture
def run_info():
    """Function that tells models where a run stands; forgotten after the test."""
    hub = MessageHub.get_current_instance()

    def tell(**info):
        for key, value in info.items():
            hub.update_info(key, value)
    yield tell
    for key in ('iter', 'max_iters', 'iters_per_epoch'):
        hub.runtime_info.pop(key, None)


@pytest.fixture
def blank():
    """Function that names the trainable parameters without gradient."""
    return lambda model: [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.fixture
def copy_of():
    """Function that copies a module's parameters by name."""
    return lambda module: {n: p.detach().clone() for n, p in module.named_parameters()}
