"""Every good file of the zoo, written for each runtime and asked in that very runtime.

What is not refused at export loads, runs and answers as the runtime that wrote the file did, to 1e-4. And
what the verdict says without the runtime is what the runtime does: of exports for it, of exports for none,
and of those that were refused, written all the same.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from servable.cli import _build_parser
from servable.cli_options import read_conversion_options
from servable.errors import ExportError
from servable.export.dialects import adapting
from servable.export.exporting import complete_requests, export_servable, read_signatures
from servable.graphs.saved_model_parts import MODEL_FILE, read_model_file
from servable.runtime.installed import find_runtime
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import DEFAULT_SIGNATURE
from servable.sources.opening import open_source
from servable.targets.catalog import find_target
from servable.targets.verdict import judge_meta_graph

pytestmark = pytest.mark.tensorflow

TOLERANCE = 1e-4


@pytest.mark.zoo("k2*", "keras*", "tf*")
def test_runs_in_the_real_runtime_or_is_refused(
    zoo, case_name, tmp_path, type_command, runtimes, record_property, monkeypatch
):
    case = zoo(case_name)
    exporter = Exporter(case, type_command(case, tmp_path / "out"))
    plain_dir = exporter.export(tmp_path / "plain", "current")
    refused = {}
    for target in runtimes:
        try:
            exporter.export(tmp_path / target, target)
        except ExportError as error:
            refused[target] = ("refused", error.received.partition(" (node")[0])
            with monkeypatch.context() as patch:
                patch.setattr(adapting, "require_fit", lambda *_: None)
                exporter.export(tmp_path / target, target)
    seen = ask_all([(folder, t) for t in runtimes for folder in (plain_dir, tmp_path / t)], case)
    outcomes = {target: seen[tmp_path / target, target] for target in runtimes} | refused
    verdicts = [
        (judge(folder, target), "ok" if stage == "right" else stage)
        for (folder, target), (stage, _) in seen.items()
    ]
    record_property("case", case_name)
    record_property("groups", list_groups(case, plain_dir))
    record_property("outcomes", outcomes)
    record_property("verdicts", verdicts)
    wrong = {name: said for name, (state, said) in outcomes.items() if state not in ("right", "refused")}
    assert wrong == {}
    assert [pair for pair in verdicts if pair[0] != pair[1]] == []


class Exporter:
    """Opens a source once and writes it for several targets."""

    def __init__(self, case, words):
        self._options = read_conversion_options(_build_parser(words).parse_args(words))
        source = case.folder / case.facts["weights"] if "weights" in case.facts else case.source
        self._model = open_source(source, self._options.source)
        self._completed = complete_requests(self._model, self._options.signatures, self._options.frozen)

    def export(self, out_dir, target):
        export_servable(
            self._model,
            self._completed.requests,
            out_dir,
            frozen=self._completed.frozen,
            default_signature=self._options.default_signature,
            target=find_target(target),
        )
        return out_dir


def judge(saved_model_dir, target):
    (meta_graph,) = read_model_file(saved_model_dir / MODEL_FILE).meta_graphs
    obstacles = judge_meta_graph(meta_graph, find_target(target))
    if any(obstacle.at_load for obstacle in obstacles):
        return "load"
    return "run" if obstacles else "ok"


def ask_all(pairs, case):
    """Two processes at a time; the same bytes in the same runtime only once."""
    keys = {
        (folder, target): ((folder / MODEL_FILE).read_bytes(), find_target(target).version)
        for folder, target in pairs
    }
    first = {key: folder for (folder, _), key in reversed(keys.items())}
    calls = {key: make_call(folder, case) for key, folder in first.items()}
    with ThreadPoolExecutor(2) as pool:
        running = {key: pool.submit(ask_runtime, first[key], key[1], *calls[key]) for key in first}
        return {pair: running[key].result() for pair, key in keys.items()}


def make_call(saved_model_dir, case):
    """Gives the request, and what is wanted by tensor."""
    signatures = read_signatures(saved_model_dir)
    signature = signatures.get(DEFAULT_SIGNATURE) or next(iter(signatures.values()))
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    names = [end["name"] for end in case.facts["outputs"] if end.get("needs") != "ema"]
    feeds = {
        find_end(signature.inputs, name, position).tensor: value
        for position, (name, value) in enumerate(inputs.items())
    }
    fetches = {find_end(signature.outputs, name, i).tensor: wanted[name] for i, name in enumerate(names)}
    return Call(feeds, tuple(fetches)), fetches


def ask_runtime(saved_model_dir, version, call, wanted):
    """Gives "right" and the worst difference; or the stage that failed, and what was said."""
    library = find_runtime(version).library
    outcome = run_calls(saved_model_dir, [call], library=library)
    if outcome.load_fault is not None:
        return "load", outcome.load_fault.message
    (result,) = outcome.results
    if result.fault is not None:
        return "run", result.fault.message
    worst = max(measure(result.outputs[tensor], value) for tensor, value in wanted.items())
    return ("right" if worst <= TOLERANCE else "differs"), worst


def find_end(side, name, position):
    """By name, or by place where the file has its own names."""
    return side[name] if name in side else list(side.values())[position]


def measure(answer, wanted):
    if answer.shape != wanted.shape:
        return float("inf")
    if wanted.dtype.kind != "f":
        return 0.0 if answer.tolist() == wanted.tolist() else float("inf")
    return float(abs(answer.astype("float64") - wanted.astype("float64")).max(initial=0.0))


def list_groups(case, plain_dir):
    (meta_graph,) = read_model_file(plain_dir / MODEL_FILE).meta_graphs
    is_keras = "keras" in case.facts["kind"] or case.name.startswith("tf2")
    groups = ["Keras and TensorFlow 2" if is_keras else "TensorFlow 1", "all"]
    if any("HashTable" in node.op for node in meta_graph.graph_def.node):
        groups.append("with lookup tables")
    return groups
