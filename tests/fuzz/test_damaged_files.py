"""Damaged files of every kind: refused in words, or the SavedModel answers as that of the good file does.

Where a format has no checksum, a damaged file can be a well-formed model of its own, and nobody could tell.
The SavedModel then has to answer as the source framework does with that very file, or fail the checks.
"""

from __future__ import annotations

import collections
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from servable.confinement.converting import convert_confined
from servable.confinement.limits import Limits
from servable.convert import Conversion, ConversionOptions, check_conversion
from servable.errors import ServableError
from servable.formats.digest import digest_files
from servable.runtime.outcome import Call
from servable.runtime.outcome import Limits as RuntimeLimits
from servable.runtime.session import run_calls
from servable.signature import SignatureRequest
from servable.sources.options import SourceOptions

pytestmark = [pytest.mark.tensorflow, pytest.mark.fuzz, pytest.mark.timeout(3000)]

DATA_DIR = Path(__file__).parents[1] / "data"
LIMITS = Limits(time_limit_s=120.0, memory_bytes=4 << 30)
RUNTIME_LIMITS = RuntimeLimits(load_time_s=60.0, run_time_s=30.0, memory_bytes=4 << 30, threads=1)

# Two cases of each kind: one is damaged with bytes of the other, and the other way round.
KINDS = {
    "saver v2": ("tf1.15-dropout-a", "tf1.12-multi_head-a"),
    "saver v2 sharded": ("tf1.15-lr_sharded-a", "tf1.4-lr_sharded-a"),
    "saver v2 with tables": ("tf1.15-lookup-a", "tf1.12-lookup-a"),
    "saver v2 without graph": ("tf1.15-lr_nometa-a", "tf1.4-lr_nometa-a"),
    "saver v1": ("tf1.12-lr_v1-a", "tf1.4-lr_v1-a"),
    "saver v1 sharded": ("tf1.12-lr_v1_sharded-a", "tf1.15-lr_v1_sharded-a"),
    "saved model of TF 1": ("tf1.15-sm_predict_images-a", "tf1.12-sm_assets-a"),
    "saved model of TF 2": ("tf2.3-sm_keras-a", "tf2.16-sm_module-a"),
    "object checkpoint": ("tf2.3-obj_ckpt-a", "tf2.16legacy-obj_ckpt-a"),
    "object checkpoint of weights": ("tf2.3-obj_weights-a", "tf2.16legacy-obj_weights-a"),
    "hdf5 of Keras 2": ("k2.2.4-seq_cnn-a", "tfk1.15-multi_io-a"),
    "hdf5 of Keras 3": ("keras3.12-multi_io_h5-a", "keras3.15-attention_h5-a"),
    "hdf5 of weights": ("k2.3.1-json_weights-a", "tfk1.15-json_weights-a"),
    "keras archive": ("keras3.12-seq_cnn-a", "keras3.15-lookup-a"),
    "frozen graph": (),  # the zoo has none
}


@dataclass(frozen=True)
class GoodModel:
    """A good model, how to convert it, and what it then answers."""

    name: str
    folder: Path
    source: Path
    options: ConversionOptions
    digest: str
    answers: Any
    ask: Any

    def place(self, copy_dir: Path) -> tuple[Path, ConversionOptions]:
        """The same with the model's files in another folder."""
        architecture = self.options.source.architecture
        if architecture is not None:
            architecture = copy_dir / architecture.relative_to(self.folder)
        source_options = replace(self.options.source, architecture=architecture)
        return copy_dir / self.source.relative_to(self.folder), replace(self.options, source=source_options)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_or_does_no_harm(kind, zoo, tmp_path, request, damage_copy, write_frozen_graph):
    count = -(-request.config.getoption("--fuzz-files") // len(KINDS))
    cases = [zoo(name) for name in KINDS[kind]] or [write_frozen_graph(tmp_path / s, s) for s in "ab"]
    models = [open_model(case, tmp_path / case.name) for case in cases]

    def try_one(number: int) -> tuple[str, str]:
        seed = f"{kind} {number}"
        model, other = models[number % 2], models[1 - number % 2]
        place = tmp_path / str(number)
        damage = damage_copy(model.folder, place / "source", other.folder, seed)
        try:
            outcome = judge(model, damage, place)
        finally:
            shutil.rmtree(place)
        return outcome, f"{model.name}, seed {seed!r}: {damage.words}"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(try_one, range(count)))
    counts = collections.Counter(outcome.partition(":")[0] for outcome, _ in results)
    print(f"{kind}: {dict(counts)}")  # noqa: T201 - figures for whoever runs it with -s
    wrong = [f"{outcome}\n  {words}" for outcome, words in results if outcome.startswith("WRONG")]
    assert not wrong, "\n".join(wrong)


def judge(model: GoodModel, damage: Any, place: Path) -> str:
    source, options = model.place(place / "source")
    try:
        conversion = convert_confined(source, place / "out" / "1", options, limits=LIMITS)
    except ServableError as error:
        assert not (place / "out").exists()
        return name_refusal(error)
    # Any other error fails the test: the caller of a conversion has to cope with this tree alone.
    if digest_files_of(conversion) == model.digest:
        return "same bytes"
    answers = ask_model(conversion, model.ask)
    if is_same(answers, model.answers):
        return "same answers"
    if damage.checksummed:
        return f"WRONG: published with other answers although a checksum covers the damage: {answers}"
    if damage.name.suffix == ".h5" and not touch(damage.ranges, find_values(model.folder / damage.name)):
        return f"WRONG: published with other answers although no value was damaged: {answers}"
    return judge_own_answers(model, source, options, place, conversion.requests)


def name_refusal(error: ServableError, outcome: str = "refused") -> str:
    text = str(error)
    for words in ("time limit", "ran out of memory", "crashed the process", "not foreseen"):
        if words in text:
            return f"WRONG: {text}" + "".join(getattr(error, "__notes__", []))
    return f"{outcome} ({type(error).__name__})"


def judge_own_answers(
    model: GoodModel, source: Path, options: ConversionOptions, place: Path, requests: Any
) -> str:
    """The damaged file is a model of its own: the SavedModel has to be just that one."""
    asked = {
        f"{request.name}/{key}": value.astype(np.bytes_) if value.dtype == object else value
        for request in requests
        for key, value in model.ask.get(request.name, {}).items()
        if set(request.inputs) == set(model.ask[request.name])
    }
    if asked:
        np.savez(place / "inputs.npz", **asked)
    own_options = replace(options, make_baseline=True, inputs=place / "inputs.npz" if asked else None)
    try:
        conversion = convert_confined(source, place / "own" / "1", own_options, limits=LIMITS)
    except ServableError as error:
        return name_refusal(error, "refused once it was run")
    if not check_conversion(conversion).passed:
        return "found out by the checks"
    if not conversion.baseline.samples:
        assert [note for note in conversion.notes if note.check == "baseline"], "not compared, and not said"
        return "published with the warning that nothing could be compared"
    for name, sample in conversion.baseline.samples.items():
        answers = ask_model(conversion, {name: sample.inputs})[name]
        for key, value in sample.outputs.items():
            if value.dtype.kind in "fc" and not np.allclose(answers[key], value, 1e-4, 1e-4, equal_nan=True):
                return f"WRONG: answers neither as the good file nor as its own source: {name} {key}"
    return "another model, faithfully converted"


def open_model(case, out_dir: Path) -> GoodModel:
    folder, inputs, options = case.folder / "artifact", case.read_arrays("inputs"), find_options(case)
    source = case.folder / case.facts["weights"] if "weights" in case.facts else case.source
    conversion = convert_confined(source, out_dir / "1", options, limits=LIMITS)
    ask = {
        name: {
            key: inputs[key] if key in inputs else list(inputs.values())[position]
            for position, key in enumerate(signature.inputs)
        }
        for name, signature in conversion.signatures.items()
    }
    answers = ask_model(conversion, ask)
    assert is_same(answers, ask_model(conversion, ask)), f"a good model that answers oddly: {answers}"
    return GoodModel(case.name, folder, source, options, digest_files_of(conversion), answers, ask)


def find_options(case) -> ConversionOptions:
    facts = case.facts
    source = SourceOptions(
        architecture=case.folder / facts["architecture"] if facts.get("architecture") else None,
        module=DATA_DIR / "modules" / "logistic_regression.py" if facts.get("has_meta") is False else None,
    )
    options = ConversionOptions(source=source, make_baseline=False)
    if facts["kind"] in ("saved_model", "tf2_object_ckpt") or source.module is not None:
        return options
    request = SignatureRequest("asked", case.name_ends("inputs"), case.name_ends("outputs"))
    return replace(options, signatures=(request,), frozen=case.frozen)


def digest_files_of(conversion: Conversion) -> str:
    """Of all but the fingerprint, in which TensorFlow puts a random number."""
    root = conversion.saved_model_dir
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "fingerprint.pb"]
    return digest_files(files, root=root)


def ask_model(conversion: Conversion, ask: Any) -> Any:
    """Answers of every signature in the C++ runtime, or why there are none."""
    calls = []
    for name, inputs in ask.items():
        signature = conversion.signatures.get(name)
        if signature is None or set(signature.inputs) != set(inputs):
            return "other signatures"
        feeds = {signature.inputs[key].tensor: value for key, value in inputs.items()}
        calls.append(Call(feeds, tuple(spec.tensor for spec in signature.outputs.values())))
    outcome = run_calls(conversion.saved_model_dir, calls, limits=RUNTIME_LIMITS)
    if outcome.load_fault is not None:
        return f"fault: {outcome.load_fault}"
    answers = {}
    for name, result in zip(ask, outcome.results, strict=True):
        if result.fault is not None:
            return f"fault: {result.fault}"
        ends = conversion.signatures[name].outputs
        answers[name] = {key: result.outputs[spec.tensor] for key, spec in ends.items()}
    return answers


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return False
    return {name: set(values) for name, values in one.items()} == {
        name: set(values) for name, values in other.items()
    } and all(
        np.array_equal(value, other[name][key], equal_nan=value.dtype.kind == "f")
        for name, values in one.items()
        for key, value in values.items()
    )


def find_values(path: Path) -> list[tuple[int, int]]:
    """Bytes of an HDF5 file that hold values, numbers or texts, rather than its structure.

    HDF5 has no checksum over them: with other bytes there it is as good a file.
    """
    ranges: list[tuple[int, int]] = []
    content = path.read_bytes()

    def note(_, item):
        if isinstance(item, h5py.Dataset):
            offset = item.id.get_offset()
            if offset is not None:
                ranges.append((offset, offset + item.id.get_storage_size()))
            elif item.chunks:
                chunks = [item.id.get_chunk_info(number) for number in range(item.id.get_num_chunks())]
                ranges.extend((chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks)
        for value in item.attrs.values():
            for text in np.ravel(value):
                data = text.encode() if isinstance(text, str) else bytes(text)
                start = content.find(data)
                if data and start >= 0:
                    ranges.append((start, start + len(data)))

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return ranges


def touch(ranges: list[tuple[int, int]], values: list[tuple[int, int]]) -> bool:
    """Whether any damaged byte is a value's; always where bytes were moved about."""
    return not ranges or any(start < high and low < end for start, end in ranges for low, high in values)
