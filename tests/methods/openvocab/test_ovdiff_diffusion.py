"""Pictures and features of a diffusion model, with a random Stable Diffusion of a few thousand weights."""
import json

import pytest
import torch

from mmseg_weak.errors import MissingFileError
from mmseg_weak.methods.openvocab.ovdiff.equations import attention_heatmap, scale_heatmap
from mmseg_weak.methods.openvocab.ovdiff.extractors import DiffusionQueries, cross_attentions, load_pipeline

diffusers = pytest.importorskip('diffusers', reason='diffusers is not installed')
transformers = pytest.importorskip('transformers', reason='transformers is not installed')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A pipeline whose tokenizer knows letters."""
    path = tmp_path_factory.mktemp('sd')
    torch.manual_seed(0)
    blocks = 'CrossAttnDownBlock2D', 'CrossAttnUpBlock2D'
    unet = diffusers.UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 16, 32, 32), down_block_types=(*blocks[:1] * 3, 'DownBlock2D'),
        up_block_types=('UpBlock2D', *blocks[1:] * 3), cross_attention_dim=16, attention_head_dim=2, norm_num_groups=8)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, ) * 4, down_block_types=('DownEncoderBlock2D', ) * 4,
        up_block_types=('UpDecoderBlock2D', ) * 4, norm_num_groups=4, sample_size=128)
    letters = [*'abcdefghijklmnopqrstuvwxyz,']
    words = [*letters, *(letter + '</w>' for letter in letters), '<|startoftext|>', '<|endoftext|>']
    (path / 'vocab.json').write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (path / 'merges.txt').write_text('#version: 0.2\n')
    tokenizer = transformers.CLIPTokenizer(str(path / 'vocab.json'), str(path / 'merges.txt'), model_max_length=77)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1))
    scheduler = diffusers.PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear',
                                        skip_prk_steps=True, steps_offset=1)
    diffusers.StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None,
                                      requires_safety_checker=False).save_pretrained(path / 'model')
    return str(path / 'model')


def test_heat_is_the_attention_of_all_calls(folder):
    from mmseg_weak.methods.openvocab.ovdiff.sampler import NEGATIVE_PROMPT, PROMPT, Sampler
    sampler, calls = Sampler(folder, steps=2, batch=2, size_px=128), []
    add = sampler.add
    sampler.add = lambda attention, heads: calls.append((attention.clone(), heads)) or add(attention, heads)
    drawn = list(sampler.draw('dog', 3))
    assert len(drawn) == 3 and drawn[0][0].shape == (3, 128, 128) and drawn[0][0].dtype == torch.uint8
    assert len(calls) == 2 * 2 * 16 and sampler._tokens == [16, 17, 18]  # of 'A good picture of a dog', by letters
    first = [attention for attention, _ in calls[:32]]
    want = scale_heatmap(attention_heatmap(first, calls[0][1], [sampler._tokens]), (128, 128))
    for number in range(2):
        torch.testing.assert_close(drawn[number][1], want[number, 0])
    assert all(torch.equal(one[0], two[0]) for one, two in zip(drawn, sampler.draw('dog', 3)))
    stock = load_pipeline(folder)
    stock.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(stock.scheduler.config)
    images = stock(PROMPT.format('dog'), negative_prompt=NEGATIVE_PROMPT, guidance_scale=8.0, num_inference_steps=2,
                   generator=torch.Generator().manual_seed(42), height=128, width=128, num_images_per_prompt=2,
                   output_type='pt').images
    assert (images[0] * 255 - drawn[0][0]).abs().max() < 1.5  # rounding of float16-free, differently ordered sums


def test_queries_are_features(folder):
    extractor = DiffusionQueries(folder, size_px=128, grid=16)
    raw = torch.rand(2, 3, 100, 140) * 255
    features = extractor(raw, None)
    widths = [attention.to_q.out_features for attention in cross_attentions(extractor.unet)]
    assert len(widths) == 16 and features.shape == (2, sum(widths[i] for i in (0, *range(6, 13), 15)), 16, 16)
    assert torch.equal(features, extractor(raw, None))
    torch.testing.assert_close(extractor(raw[1:], None), features[1:], atol=1e-4, rtol=1e-3)


def test_nothing_is_downloaded(tmp_path):
    with pytest.raises(MissingFileError, match='is not on this machine as safetensors, and nothing is downloaded'):
        load_pipeline(str(tmp_path))
