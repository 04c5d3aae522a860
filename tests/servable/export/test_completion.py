"""What the workshop asks of a source that was given an incomplete signature."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from servable.convert import ConversionOptions, convert_source
from servable.errors import SignatureError
from servable.export.exporting import complete_requests, read_signatures
from servable.formats.protos import MetaGraphDef
from servable.model import GraphBody, Origin, Suggestion, TrainedModel
from servable.report import Finding, Severity
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import SignatureRequest

OWN = SignatureRequest("predict", {"x": "x:0"}, {"y": "y:0"})
NOTE = Finding("source", Severity.INFO, "chosen")


def suggest(requests, *, frozen):
    """Stands for a graph with one input, one output and one switch."""
    full = tuple(
        SignatureRequest(r.name, r.inputs or {"a": "a:0"}, r.outputs or {"b": "b:0"}) for r in requests
    )
    return Suggestion(full, {**frozen, "train:0": False}, (NOTE,))


@pytest.fixture
def model():
    origin = Origin(Path("m"), "tf1-saver", "tensorflow", "", (), None, "")
    body = GraphBody(MetaGraphDef(), None, {}, Path())
    return TrainedModel(origin, body, (), predict=lambda *_, **__: {}, suggest=suggest)


def test_a_source_without_signatures_is_read_off_its_graph(model):
    completed = complete_requests(model, [], {"keep:0": "1"})
    assert completed.requests == (SignatureRequest(inputs={"a": "a:0"}, outputs={"b": "b:0"}),)
    assert completed.frozen == {"keep:0": "1", "train:0": False}
    assert completed.notes == (NOTE,)


def test_the_sources_own_signatures_go_first(model):
    model = replace(model, signatures=(OWN,))
    assert complete_requests(model, []).requests == (OWN,)
    asked = SignatureRequest("scores", outputs={"s": "s:0"})
    (request,) = complete_requests(model, [asked]).requests
    assert (request.inputs, request.outputs) == ({"x": "x:0"}, {"s": "s:0"})


def test_switches_are_frozen_under_the_sources_own_signatures_too(model):
    assert complete_requests(replace(model, signatures=(OWN,)), []).frozen == {"train:0": False}


def test_a_source_that_suggests_nothing_asks(model):
    with pytest.raises(SignatureError, match="--input KEY=TENSOR"):
        complete_requests(replace(model, suggest=None), [])


def test_the_same_name_twice_is_refused(model):
    with pytest.raises(SignatureError, match="asked for twice"):
        complete_requests(model, [OWN, OWN])


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "case_name",
    ["tf1.4-cnn_bn-b", "tf1.15-dropout-b", "tf1.15-lr-b", "tf1.12-iterator_pipeline-a", "tf1.15-rnn-a"],
)
def test_a_bare_checkpoint_answers_as_its_trainer_did(zoo, case_name, tmp_path):
    case = zoo(case_name)
    conversion = convert_source(case.source, tmp_path / "1", ConversionOptions(make_baseline=False))
    (asked,) = conversion.requests
    served = read_signatures(tmp_path / "1")[asked.name]
    given = dict(zip(case.name_ends("inputs").values(), case.read_arrays("inputs").values(), strict=True))
    wanted = dict(zip(case.name_ends("outputs").values(), case.read_arrays("outputs").values(), strict=True))
    feeds = {served.inputs[key].tensor: given[tensor] for key, tensor in asked.inputs.items()}
    fetches = {key: served.outputs[key].tensor for key in asked.outputs}
    (result,) = run_calls(tmp_path / "1", [Call(feeds, tuple(fetches.values()))]).results
    assert result.fault is None
    for key, tensor in asked.outputs.items():
        np.testing.assert_allclose(result.outputs[fetches[key]], wanted[tensor], rtol=1e-4, atol=1e-4)
    assert any("was completed from the graph" in note.message for note in conversion.notes)
