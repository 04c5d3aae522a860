"""A graph alone in a file: all four forms by content, and files that hold none."""

import pytest
from google.protobuf import text_format

from servable.errors import BrokenSourceError
from servable.formats.protos import MetaGraphDef, parse_message
from servable.graphs.graph_definitions import read_graph_definition

FORMS = {
    "meta": lambda meta_graph: meta_graph.SerializeToString(),
    "meta_text": lambda meta_graph: text_format.MessageToString(meta_graph).encode(),
    "graph": lambda meta_graph: meta_graph.graph_def.SerializeToString(),
    "graph_text": lambda meta_graph: (
        b"# a comment\n" + text_format.MessageToString(meta_graph.graph_def).encode()
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.zoo("tf1.4-lr-a", "tf1.12-partitioned-a", "tf1.15-cnn_bn-a")
def test_every_form_is_told_by_content(zoo, case_name, form, tmp_path):
    meta_graph = parse_message(MetaGraphDef, next(zoo(case_name).folder.rglob("*.meta")))
    path = tmp_path / "of_no_known_suffix"
    path.write_bytes(FORMS[form](meta_graph))
    found = read_graph_definition(path)
    assert found.graph_def == meta_graph.graph_def
    assert bool(found.saver_def.restore_op_name) == form.startswith("meta")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89HDF\r\n\x1a\n",
        b'{"class_name": "Model"}',
        b"node {",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x08\x01",
    ],
)
def test_a_file_without_a_graph_is_refused(tmp_path, data):
    path = tmp_path / "graph.pb"
    path.write_bytes(data)
    with pytest.raises(BrokenSourceError) as caught:
        read_graph_definition(path)
    assert caught.value.where == str(path)
