"""Every broken or hostile file of the zoo ends as its `expect` says, and nothing of it has run."""

import os
from pathlib import Path

import pytest

from servable.cli import main
from servable.convert import convert_source
from servable.errors import ServableError

pytestmark = pytest.mark.tensorflow

# Exit code (0 converted, 1 findings, 2 could not, 3 not a model) and what has to be named.
ENDS = {
    "bad-ckpt_flipped_byte-a": (2, ["checksum", "W"]),
    "bad-ckpt_meta_garbage-a": (2, ["model.ckpt.meta"]),
    "bad-ckpt_missing_shard-a": (2, ["model.ckpt.data-00001-of-00002"]),
    "bad-ckpt_nan-a": (1, ["NaN"]),
    "bad-ckpt_no_index-a": (2, ["model.ckpt.index"]),
    "bad-ckpt_other_index-a": (2, ["model.ckpt"]),
    "bad-ckpt_other_meta-a": (2, ["not in the checkpoint"]),
    "bad-ckpt_state_missing-a": (3, ["model.ckpt-999"]),
    "bad-ckpt_symlink-a": (2, ["model.ckpt.data-00000-of-00001"]),
    "bad-ckpt_truncated_data-a": (2, ["model.ckpt.data-00000-of-00001"]),
    "bad-ckpt_truncated_index-a": (2, ["model.ckpt.index"]),
    "bad-empty_dir-a": (3, ["checkpoint", ".h5", "saved_model.pb"]),
    "bad-h5_bad_config-a": (2, ["model_config"]),
    "bad-h5_external-a": (2, ["external link"]),
    "bad-h5_lambda_code-a": (2, ["Lambda", "--replace-layer"]),
    "bad-h5_lambda_code_keras2-a": (2, ["Lambda", "--replace-layer"]),
    "bad-h5_missing_weight-a": (2, ["dense"]),
    "bad-h5_not_hdf5-a": (3, ["empty"]),
    "bad-h5_truncated-a": (2, ["cut short"]),
    "bad-h5_weights_only-a": (3, ["--architecture"]),
    "bad-keras_bomb-a": (2, ["zeros.bin"]),
    "bad-keras_evil_config-a": (2, ["builtins.eval"]),
    "bad-keras_lambda_code-a": (2, ["Lambda", "--replace-layer"]),
    "bad-keras_no_weights-a": (2, ["model.weights.h5"]),
    "bad-keras_traversal-a": (2, ["evil.txt"]),
    "bad-keras_truncated-a": (2, ["cut short"]),
    "bad-keras_unknown_class-a": (2, ["DenseFromTheFuture"]),
    "bad-sm_garbage_pb-a": (2, ["saved_model.pb"]),
    "bad-sm_no_serve_tag-a": (2, ["train", "--tags"]),
    "bad-sm_no_signature-a": (2, ["--output"]),
    "bad-sm_no_variables-a": (2, ["variables"]),
    "bad-sm_pyfunc-a": (2, ["PyFunc"]),
    "bad-sm_readfile-a": (2, ["ReadFile", "--allow-op"]),
    "bad-sm_writefile-a": (2, ["WriteFile", "--allow-op"]),
}


@pytest.mark.zoo("bad-*")
def test_ends_as_expected(zoo, case_name, tmp_path, record_property, capfd, monkeypatch):
    case = zoo(case_name)
    record_property("kind", case.facts["kind"])
    monkeypatch.chdir(tmp_path)
    before = list_markers(tmp_path)
    out_dir = tmp_path / "out" / "1"
    code, words = ENDS[case_name]
    assert main(["convert", str(case.source), str(out_dir)]) == code
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert [word for word in words if word not in said] == [], said
    if code >= 2:
        assert list(tmp_path.iterdir()) == [], "something was left behind"
    assert list_markers(tmp_path) == before


@pytest.mark.zoo("bad-*")
def test_nothing_runs_where_its_marker_would_be_seen(zoo, case_name, tmp_path, monkeypatch):
    """In this very process, where an environment variable that a payload sets would show."""
    monkeypatch.chdir(tmp_path)
    before = list_markers(tmp_path)
    try:
        convert_source(zoo(case_name).source, tmp_path / "out" / "1")
    except ServableError:
        assert not (tmp_path / "out" / "1").exists()
    else:
        assert case_name == "bad-ckpt_nan-a", "converted; only its checks can tell that it is bad"
    assert list_markers(tmp_path) == before


def list_markers(folder):
    """A payload that runs sets LAB_PWNED, or leaves a file beside or above the model."""
    places = (Path("/tmp"), folder, folder.parent)
    names = [path.name for place in places for path in place.iterdir()]
    return os.environ.get("LAB_PWNED"), sorted(n for n in names if "evil" in n or "pwned" in n.lower())
