"""Graphs of checkpoints, binary and text. No TensorFlow here."""

from __future__ import annotations

from pathlib import Path

import pytest

from servable.errors import BrokenSourceError
from servable.formats.protos import MetaGraphDef
from servable.graphs.meta_graph_files import find_meta_graph_file, is_meta_graph_text, read_meta_graph_file


@pytest.fixture(scope="module")
def meta_path(zoo) -> Path:
    return zoo("tf1.15-cnn_bn-a").folder / "artifact" / "model.ckpt.meta"


@pytest.mark.parametrize("head", ["", "\n\n", "# a comment { with a bracket\n  # another\n"])
def test_text_is_read_like_binary(tmp_path: Path, meta_path: Path, head: str) -> None:
    binary = read_meta_graph_file(meta_path)
    path = tmp_path / "model.ckpt.meta"
    path.write_text(f"{head}{binary}")
    assert is_meta_graph_text(path)
    assert not is_meta_graph_text(meta_path)
    assert read_meta_graph_file(path) == binary


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"meta_info_def {", "text"),
        (b"graph_def { node { no_such_field: 1 } }", "no_such_field"),
        (b"node { name: 'a' }", "binary"),
        (b"graph_def { node { name: '\xff\xfe' } }", "utf-8"),
        (b"collection_def: <" + b"collection_def {" * 5000, "text"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.ckpt.meta"
    path.write_bytes(content)
    with pytest.raises(BrokenSourceError) as caught:
        read_meta_graph_file(path)
    assert said in str(caught.value)
    assert caught.value.where == str(path)


def test_a_text_too_large_to_parse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt.meta"
    with path.open("wb") as file:
        file.write(b"graph_def {}\n")
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(BrokenSourceError, match="too large"):
        read_meta_graph_file(path)


def test_the_graph_lies_beside_the_checkpoint(tmp_path: Path) -> None:
    text = str(MetaGraphDef(meta_info_def={"tensorflow_version": "1.4.1"}))
    pattern = tmp_path / "model.ckpt-7-?????-of-00002"
    assert find_meta_graph_file(pattern) is None
    (tmp_path / "model.ckpt-7.pbtxt").write_text('node { name: "a GraphDef" }')
    assert find_meta_graph_file(pattern) is None
    (tmp_path / "model.ckpt-7.pbtxt").write_text(text)
    assert find_meta_graph_file(pattern) == tmp_path / "model.ckpt-7.pbtxt"
    assert find_meta_graph_file(tmp_path / "model.ckpt-7") == tmp_path / "model.ckpt-7.pbtxt"
    (tmp_path / "model.ckpt-7.meta").write_bytes(b"whatever")
    assert find_meta_graph_file(pattern) == tmp_path / "model.ckpt-7.meta"
