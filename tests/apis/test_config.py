"""Configs by path and by name, and users' configs whose bases lie in another library."""
import pytest

from mmseg_weak.apis.config import config_names, configs_root, find_config, load_config
from mmseg_weak.errors import ConfigError, MissingFileError


def test_every_name_leads_to_its_file():
    names = config_names()
    assert names and not any(name.startswith('_base_') for name in names)
    for name in names:
        assert find_config(name) == configs_root() / f'{name}.py'
    assert find_config(f'configs/{names[0]}.py').samefile(configs_root() / f'{names[0]}.py')
    assert find_config(names[0].split('/')[1]) == configs_root() / f'{names[0]}.py'


def test_a_mistyped_name_gets_near_ones():
    name = config_names()[0]
    with pytest.raises(ConfigError,
                       match=rf"^No config is called '{name}x'\. Did you mean {name}.*\? `mmseg-weak list` "
                       r'shows all names; a path to a \.py file works too\.$'):
        find_config(f'{name}x')


def test_a_missing_path_says_where_it_looked(tmp_path):
    with pytest.raises(MissingFileError, match=r'^The config .*/none\.py does not exist \(looked in '):
        find_config(tmp_path / 'none.py')


def test_bases_in_other_libraries_are_mapped_through_several_files(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'sub/base.py').write_text("_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py']\nown = 1\n")
    (tmp_path / 'user.py').write_text(
        "_base_ = [\n    './sub/base.py',\n    'mmseg_weak::_base_/default_runtime.py',\n]\n"
        'model = dict(decode_head=dict(num_classes=7))\n')
    config = load_config(tmp_path / 'user.py', {'own': 2, 'randomness.seed': 5})
    assert config.model.backbone.type == 'UNet' and config.model.decode_head.num_classes == 7
    assert config.own == 2 and config.runner_type == 'WeakRunner' and config.randomness.seed == 5
    assert config.filename == str(tmp_path / 'user.py')


def test_an_unknown_base_gets_near_names(tmp_path):
    (tmp_path / 'user.py').write_text("_base_ = 'mmseg::_base_/models/fcn_unet_s5-d61.py'\n")
    with pytest.raises(MissingFileError,
                       match=r'user\.py asks for mmseg::_base_/models/fcn_unet_s5-d61\.py, which is not '
                       r'in .*Did you mean _base_/models/fcn_unet_s5-d16\.py'):
        load_config(tmp_path / 'user.py')


def test_a_file_that_is_no_config(tmp_path):
    (tmp_path / 'user.py').write_text('model = dict(\n')
    with pytest.raises(ConfigError, match=r'user\.py cannot be read as a config: SyntaxError: '):
        load_config(tmp_path / 'user.py')
