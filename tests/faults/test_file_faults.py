"""Faults of files: what a broken copy, a bad disk and a careless hand do to a SavedModel."""

import os

import numpy as np
import pytest

from servable.checks.policy import CheckPolicy
from servable.report import Severity


def lose_asset(s):
    (s.folder / "assets" / "vocab.txt").unlink()


def lead_asset_out(s):
    (s.folder.parent / "vocab.txt").write_text("a\n")
    packed = s.graph.collection_def["saved_model_assets"].any_list.value[0]
    packed.value = packed.value.replace(b"\x12\x09vocab.txt", b"\x12\x0c../vocab.txt")


def link_out(s):
    target = s.folder.parent / "elsewhere.index"
    s.index.rename(target)
    s.index.symlink_to(target)


def link_by_absolute_path(s):
    s.shard.rename(s.folder / "variables" / "data")
    s.shard.symlink_to(s.folder / "variables" / "data")


def leave_file(s):
    (s.folder / "model.ckpt-1000.meta").write_bytes(b"x" * 100)


def name_no_version(s):
    s.folder = s.folder.rename(s.folder.parent / "latest")
    s.policy = CheckPolicy(version_folder=True)


def make_garbage(s):
    s.pb.write_bytes(b"\xff" * 100)
    s.model = None


def truncate_graph(s):
    s.pb.write_bytes(s.pb.read_bytes()[:-7])
    s.model = None


def lose_graph(s):
    s.pb.unlink()
    s.model = None


def make_pipe(s):
    s.pb.unlink()
    os.mkfifo(s.pb)
    s.model = None


def truncate_shard(s):
    s.shard.write_bytes(s.shard.read_bytes()[:-1])


def lose_shard(s):
    s.shard.unlink()


def flip_bit_of_data(s):
    flip(s.shard, 5000)


def flip_bit_of_index(s):
    flip(s.index, 20)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def lose_index(s):
    s.index.unlink()


def lose_variables(s):
    s.index.unlink()
    s.shard.unlink()
    s.index.parent.rmdir()


def lose_one_variable(s):
    s.node("save/RestoreV2/tensor_names").attr["value"].tensor.string_val[0] = b"W_of_another_model"


def carry_slots(s):
    s.add_variables({"W/Adam": "W", "W/Adam_1": "W"})


def put_nan(s):
    s.edit_weights("W", lambda w: put(w, (3, 7), np.nan))


def put_infinity(s):
    s.edit_weights("b", lambda b: put(b, 4, -np.inf))


def put(array, at, value):
    array[at] = value
    return array


def never_restore(s):
    s.edit_weights("W", np.zeros_like)
    s.baseline = None


def put_nan_into_constant(s):
    s.const("shift", np.float32(np.nan))
    s.answer(s.add("shifted", "Add", "y", "shift", T=s.type(1)) + ":0")


WARNING = Severity.WARNING
FAULTS = {
    "asset missing": ("words", lose_asset, "layout"),
    "asset outside the folder": ("words", lead_asset_out, "layout"),
    "symbolic link out of the folder": ("dense", link_out, "layout"),
    "symbolic link by absolute path": ("dense", link_by_absolute_path, "layout"),
    "file that no loader reads": ("dense", leave_file, "layout", WARNING),
    "folder that is no version": ("dense", name_no_version, "layout", WARNING),
    "graph of garbage": ("dense", make_garbage, "layout"),
    "graph truncated": ("dense", truncate_graph, "layout"),
    "graph missing": ("dense", lose_graph, "layout"),
    "pipe in place of the graph": ("dense", make_pipe, "layout"),
    "shard truncated": ("dense", truncate_shard, "variables"),
    "shard missing": ("dense", lose_shard, "variables"),
    "bit flipped in a shard": ("dense", flip_bit_of_data, "weights", "serving_load"),
    "bit flipped in the index": ("dense", flip_bit_of_index, "variables"),
    "index missing": ("dense", lose_index, "variables"),
    "variables missing": ("module", lose_variables, "variables"),
    "variable missing": ("dense", lose_one_variable, "variables"),
    "optimizer slots in the files": ("dense", carry_slots, "variables", WARNING),
    "one element NaN": ("dense", put_nan, "weights", "fidelity"),
    "one element infinite": ("dense", put_infinity, "weights", "fidelity"),
    "matrix never restored": ("dense", never_restore, "weights", WARNING),
    "NaN in a constant": ("dense", put_nan_into_constant, "weights", "fidelity"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, convict):
    convict(name, FAULTS[name])
