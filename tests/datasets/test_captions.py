"""Captions from the files that people have."""
import json

import pytest

from mmseg_weak.datasets.captions import read_captions
from mmseg_weak.errors import ConfigError, DataError, MissingFileError


@pytest.mark.parametrize(('name', 'text'), [
    ('a.txt', '\ufeffa dog\n\n  a   red car \na dog\n'),
    ('a.csv', 'image,Caption\n1.jpg,a dog\n2.jpg,"a red car"\n3.jpg,a dog\n'),
    ('a.tsv', 'a\ta dog\nb\ta red car\n'),  # no header: the last column
    ('a.json', json.dumps(['a dog', 'a red  car'])),
    ('a.json', json.dumps([dict(id=1, caption='a dog'), dict(id=2, caption=['a red car', ''])])),
    ('a.json', json.dumps(dict(images=[], annotations=[dict(caption='a dog'), dict(caption='a red car')]))),
    ('a.jsonl', '{"text": "a dog"}\n\n{"text": "a red car"}\n'),
])
def test_kinds_of_files(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding='utf-8')
    assert read_captions(str(tmp_path / name)) == ['a dog', 'a red car']


def test_a_column_of_ones_own(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('words,caption\na dog,x\n')
    assert read_captions(str(path), 'words') == ['a dog'] and read_captions(str(path)) == ['x']
    with pytest.raises(ConfigError, match="has no column 'word'. Did you mean words. Its first line reads words, "):
        read_captions(str(path), 'word')


@pytest.mark.parametrize(('name', 'content', 'error', 'say'), [
    ('none.txt', None, MissingFileError, 'There is no file of captions .*none.txt; give a .txt with one a line'),
    ('a.txt', b'\n \n', DataError, 'a.txt holds no caption; write at least one.'),
    ('a.txt', b'\xff\xfe\x00', DataError, 'a.txt is not UTF-8 text .invalid start byte at byte 0.; save it as'),
    ('a.doc', b'a', ConfigError, r"ends in '.doc'; captions come as .txt, .csv, .tsv, .json or .jsonl."),
    ('a.json', b'[1', DataError, 'a.json is not valid JSON .line 1: '),
    ('a.jsonl', b'{}\n{', DataError, 'a.jsonl is not valid JSON .line 2: '),
    ('a.json', b'3', DataError, "a.json holds a int; give a list of captions, or of objects with a key 'caption'."),
    ('a.json', b'[{"id": 1}]', DataError, 'Entry 0 of .*a.json has the keys id, none of which is .a caption.; name'),
])
def test_what_is_wrong(tmp_path, name, content, error, say):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=say):
        read_captions(str(tmp_path / name))
