"""What each node did, in plain sentences.

What passes through: the executions of one run, as ML Metadata has them, come in with the files they left; one
sentence for each node goes out. TFX is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from examples.stock_tfx.answers import load_record, read_answers
from examples.stock_tfx.places import BRANCHES
from pipelines.metadata.records import ExecutionRecord
from servable.formats.digest import digest_tree
from servable.formats.tfrecords import read_record_file

_SERVING_DIR = "Format-Serving"


def tell_run(records: Sequence[ExecutionRecord], runs: Mapping[int, int]) -> Iterator[str]:
    """Tells one run, in the order in which its nodes came.

    Args:
        records: Executions of the run.
        runs: Artifact id to the number of the run that made it, for all runs so far.

    Yields:
        "node: sentence".
    """
    resolved = {branch.validate: branch.resolve for branch in BRANCHES}
    for record in records:
        if record.node_id in resolved.values():
            continue  # ML Metadata has no artifacts with it: who takes its answer says what it was
        if record.node_id in resolved:
            yield f"{resolved[record.node_id]}: {_tell_resolver(record, runs)}"
        if record.state == "cached":
            yield f"{record.node_id}: had nothing to do; everything it reads is as before."
        else:
            yield f"{record.node_id}: {_find_words(record.node_id)(record)}"


def _find_words(node_id: str) -> Callable[[ExecutionRecord], str]:
    return next(words for start, words in _WORDS.items() if node_id.startswith(start))


def _tell_example_gen(record: ExecutionRecord) -> str:
    counts = {
        split: sum(
            1
            for path in _find_dir(record, "examples").glob(f"Split-{split}/*.gz")
            for _ in read_record_file(path)
        )
        for split in ("train", "eval")
    }
    return f"wrote {counts['train']} bottles to learn from and {counts['eval']} to hold out, as tf.Examples."


def _tell_trainer(record: ExecutionRecord) -> str:
    answers = load_record(_find_dir(record, "model_run"))
    left = sorted(path.name for path in (_find_dir(record, "model") / _SERVING_DIR).iterdir())
    return (
        f"learnt from {answers.learnt} bottles in {answers.seconds:.0f} s, and reads {answers.accuracy:.1%} "
        f"of {len(answers.labels)} others correctly; it left {' and '.join(left)}, and no SavedModel."
    )


def _tell_converter(record: ExecutionRecord) -> str:
    model = record.outputs["model"]
    signatures = json.loads(model.get_text("signatures"))
    told = []
    for name, ends in sorted(signatures.items()):
        inputs = list(ends["inputs"].items())
        takes = f"{inputs[0][0]}, {inputs[0][1]}" if len(inputs) == 1 else f"{len(inputs)} columns by name"
        told.append(f"{name} takes {takes}")
    step = model.get_text("source_step")
    return f"made a SavedModel of {model.get_text('source_format')}{f', step {step}' if step else ''}: " + (
        "; ".join(told) + "."
    )


def _tell_resolver(record: ExecutionRecord, runs: Mapping[int, int]) -> str:
    found = record.inputs.get("baseline_model")
    if found is None:
        return "found no blessed model; there is none yet."
    return f"found the model that was blessed in run {runs[found.id]} (id {found.id})."


def _tell_validator(record: ExecutionRecord) -> str:
    report = json.loads((_find_dir(record, "report") / "report.json").read_text())
    metrics = report["facts"]["metrics"]
    beside = f", the blessed one {metrics['previous']['accuracy']:.1%}" if "previous" in metrics else ""
    reasons = " ".join(f"{item['check']}: {item['message']}." for item in report["findings"])
    return (
        f"{report['summary']} It reads {metrics['candidate']['accuracy']:.1%} of {metrics['rows']} held-out "
        f"bottles correctly{beside}. {reasons}"
    ).rstrip()


def _tell_evaluator(record: ExecutionRecord) -> str:
    says = "blessed" if record.outputs["blessing"].get_flag("blessed") else "did not bless"
    beside = " beside the model that is served so far" if "baseline_model" in record.inputs else ""
    return f"{says} the checkpoint's model by the same figure{beside}."


def _tell_pusher(record: ExecutionRecord) -> str:
    pushed = record.outputs["pushed_model"]
    if not pushed.get_flag("pushed"):
        return "pushed nothing, since the model is not blessed."
    pushed_dir = Path(pushed.get_text("pushed_destination"))
    is_same = digest_tree(pushed_dir) == digest_tree(Path(record.inputs["model"].uri) / _SERVING_DIR)
    what = "the very bytes that were checked" if is_same else "OTHER BYTES than were checked"
    seen = [key for key in ("model_blessing", "infra_blessing") if record.inputs[key].get_flag("blessed")]
    return f"saw {' and '.join(seen)}, and pushed version {pushed_dir.name}, {what}."


def _tell_inferrer(record: ExecutionRecord) -> str:
    count = len(read_answers(_find_dir(record, "inference_result")))
    return f"asked the model that was pushed for {count} bottles, each a serialized tf.Example."


def _find_dir(record: ExecutionRecord, key: str) -> Path:
    return Path(record.outputs[key].uri)


_WORDS: Mapping[str, Callable[[ExecutionRecord], str]] = {
    "CsvExampleGen": _tell_example_gen,
    "Trainer": _tell_trainer,
    "convert_": _tell_converter,
    "validate_": _tell_validator,
    "Evaluator": _tell_evaluator,
    "push_": _tell_pusher,
    "BulkInferrer": _tell_inferrer,
}
