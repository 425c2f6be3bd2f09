"""What tests of image-tag methods share: tagged samples, and where in its run a model thinks it is."""
import pytest
import torch
from mmengine.logging import MessageHub
from mmseg.structures import SegDataSample


@pytest.fixture
def tagged():
    """Function: one sample a row of tags."""
    def make(*tags, **meta):
        samples = [SegDataSample(metainfo=dict(img_path=f'{i}.png', **meta)) for i in range(len(tags))]
        for one, row in zip(samples, tags):
            one.set_data(dict(gt_image_label=torch.tensor(row, dtype=torch.uint8)))
        return samples
    return make


@pytest.fixture
def at():
    """Function: set the iteration; every test starts without one."""
    return lambda iteration: MessageHub.get_current_instance().update_info('iter', iteration)


@pytest.fixture
def at_share(at):
    """Function: set the share of the run that is done."""
    def move(share):
        MessageHub.get_current_instance().update_info('max_iters', 100)
        at(round(share * 100))
    return move
