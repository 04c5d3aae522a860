"""The readers of model files as a fuzzer calls them: bytes come in, nothing goes out, or a `ServableError`.

What passes through: each reader gets the bytes of one file and a folder of its own with whatever else belongs
to a source of its kind, taken from the zoo. Used by `benchmarks.fuzz_readers`, and by the test that replays
what it has found. No TensorFlow here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from servable.formats.checkpoints import bundle_index, bundle_streams, string_tensors, table_blocks
from servable.formats.checkpoints.bundle import check_extents, iter_values, open_bundle
from servable.formats.checkpoints.table import read_table
from servable.formats.tf_examples import parse_examples
from servable.formats.tfrecords import read_records
from servable.graphs.saved_model_parts import find_model_file, read_assets, read_model_file, read_start_ops
from servable.signature import read_signature
from servable.sources.description import describe_source
from servable.targets.catalog import find_target
from servable.targets.verdict import judge_meta_graph

ZOO_DIR: Final = Path(__file__).parents[2] / "tests" / "data" / "zoo"
# With more values than these a checkpoint is read no further: its index is what is tried.
_MAX_CHUNKS: Final = 64
_MAX_SEED_BYTES: Final = 1 << 18
_TARGET: Final = "tensorflow-serving-1.15"
_CHECKSUMMED: Final = (bundle_index, bundle_streams, string_tensors, table_blocks)


@dataclass(frozen=True, slots=True)
class Reader:
    """One door that foreign bytes come through.

    Attributes:
        read: Takes the bytes and a folder.
        prepare: Puts into the folder, once, what else belongs to such a source.
        seeds: Patterns of files of the zoo to begin with.
    """

    read: Callable[[bytes, Path], None]
    seeds: tuple[str, ...]
    prepare: Callable[[Path], None] = lambda folder: None


def list_seeds(name: str) -> Iterator[Path]:
    """Lists the zoo's files that a reader begins with; large ones are left out."""
    for pattern in READERS[name].seeds:
        yield from (
            path
            for path in sorted(ZOO_DIR.glob(pattern))
            if path.is_file() and path.stat().st_size <= _MAX_SEED_BYTES
        )


def ignore_checksums() -> None:
    """Lets every checksum fit, in this process: a fuzzer cannot guess what an attacker computes."""
    for module in _CHECKSUMMED:
        for function in ("extend_crc32c", "unmask_crc32c"):
            if hasattr(module, function):
                mock.patch.object(module, function, return_value=0).start()


def _read_table(data: bytes, folder: Path) -> None:
    path = _write(folder / "table", data)
    for _ in read_table(path):
        pass


def _prepare_bundle(folder: Path) -> None:
    _copy("tf1.15-cnn_bn-a/artifact/model.ckpt.data-00000-of-00001", folder / "m.data-00000-of-00001")


def _read_bundle(data: bytes, folder: Path) -> None:
    _write(folder / "m.index", data)
    _read_values(folder / "m")


def _read_v1(data: bytes, folder: Path) -> None:
    _read_values(_write(folder / "m", data))


def _read_values(prefix: Path) -> None:
    bundle = open_bundle(prefix)
    check_extents(bundle)
    for key in bundle.entries:
        for number, _ in enumerate(iter_values(bundle, key)):
            if number > _MAX_CHUNKS:
                break


def _prepare_meta(folder: Path) -> None:
    _prepare_bundle(folder)
    _copy("tf1.15-cnn_bn-a/artifact/model.ckpt.index", folder / "m.index")


def _read_meta(data: bytes, folder: Path) -> None:
    _write(folder / "m.meta", data)
    describe_source(folder / "m")


def _prepare_objects(folder: Path) -> None:
    _copy("tf2.3-obj_ckpt-a/artifact/ck-1.data-00000-of-00001", folder / "m.data-00000-of-00001")


def _read_objects(data: bytes, folder: Path) -> None:
    _write(folder / "m.index", data)
    describe_source(folder / "m")


def _read_saved_model(data: bytes, folder: Path) -> None:
    _write(folder / "saved_model.pb", data)
    describe_source(folder)
    for meta_graph in read_model_file(find_model_file(folder)).meta_graphs:
        read_assets(meta_graph)
        read_start_ops(meta_graph)
        for name, definition in meta_graph.signature_def.items():
            read_signature(name, definition)
        judge_meta_graph(meta_graph, find_target(_TARGET))


def _describe_file(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        describe_source(_write(folder / name, data))

    return read


def _read_state(data: bytes, folder: Path) -> None:
    _write(folder / "checkpoint", data)
    describe_source(folder)


def _read_records(data: bytes, folder: Path) -> None:
    del folder
    for record in read_records(io.BytesIO(data), where="fuzz"):
        _parse(record)


def _read_example(data: bytes, folder: Path) -> None:
    del folder
    _parse(data)


def _parse(record: bytes) -> None:
    parse_examples([record, record], ["x", "images", "label"])


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _copy(case_file: str, path: Path) -> None:
    path.write_bytes((ZOO_DIR / case_file).read_bytes())


READERS: Final[dict[str, Reader]] = {
    "table": Reader(_read_table, ("*/artifact/*.index",)),
    "bundle": Reader(_read_bundle, ("*/artifact/*.index",), _prepare_bundle),
    "v1": Reader(_read_v1, ("*-lr_v1*/artifact/lr_model/model.ckpt", "*-lr_v1*/artifact/lr_model/*-of-*")),
    "meta": Reader(_read_meta, ("tf1.*-a/artifact/*.meta",), _prepare_meta),
    "objects": Reader(_read_objects, ("tf2*obj*/artifact/*.index",), _prepare_objects),
    "saved-model": Reader(_read_saved_model, ("*-a/artifact/**/saved_model.pb",)),
    "graph": Reader(
        _describe_file("graph.pb"), ("tf1.*-a/artifact/*.meta", "*-a/artifact/**/saved_model.pb")
    ),
    "hdf5": Reader(_describe_file("model.h5"), ("*-a/artifact/*.h5", "*-a/artifact/*.hdf5")),
    "keras": Reader(_describe_file("model.keras"), ("*-a/artifact/*.keras",)),
    "detect": Reader(
        _describe_file("model"),
        ("*-a/artifact/*.h5", "*-a/artifact/*.keras", "*/artifact/lr_model/model.ckpt"),
    ),
    "state": Reader(_read_state, ("*-a/artifact/checkpoint",), _prepare_meta),
    "records": Reader(_read_records, ()),
    "example": Reader(_read_example, ()),
}


def try_reader(name: str, data: bytes, folder: Path) -> Any:
    """Reads once in a prepared folder; whatever is no `ServableError` comes out."""
    READERS[name].read(data, folder)
