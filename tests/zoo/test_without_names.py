"""The TensorFlow 1 files once more, with nothing said: the choice has to be right, and to answer right."""

import numpy as np
import pytest

from servable.confinement.converting import convert_confined
from servable.convert import ConversionOptions
from servable.runtime.outcome import Call
from servable.runtime.session import run_calls
from servable.signature import DEFAULT_SIGNATURE

pytestmark = pytest.mark.tensorflow


@pytest.mark.zoo("tf1.*")
def test_what_is_chosen_answers_as_its_trainer_did(zoo, case_name, tmp_path, name_ends, record_property):
    case = zoo(case_name)
    if case.facts["kind"] == "saved_model" or case.facts.get("has_meta") is False:
        pytest.skip("a SavedModel has names, and a checkpoint without .meta has no graph")
    record_property("kind", f"{case.facts['kind']}, no names given")
    conversion = convert_confined(case.source, tmp_path / "1", ConversionOptions(make_baseline=False))
    (request,) = conversion.requests
    signature = conversion.signatures[DEFAULT_SIGNATURE]
    names = {tensor: name for name, tensor in name_ends(case, "inputs").items()}
    inputs, wanted = case.read_arrays("inputs"), case.read_arrays("outputs")
    assert set(request.inputs.values()) == set(names)
    feeds = {signature.inputs[key].tensor: inputs[names[tensor]] for key, tensor in request.inputs.items()}
    known = {tensor: name for name, tensor in name_ends(case, "outputs").items()}
    compared = {key: known[tensor] for key, tensor in request.outputs.items() if tensor in known}
    assert compared, request.outputs
    fetches = {key: signature.outputs[key].tensor for key in compared}
    (result,) = run_calls(tmp_path / "1", [Call(feeds, tuple(fetches.values()))]).results
    assert result.fault is None, result.fault
    for key, name in compared.items():
        answer = result.outputs[fetches[key]]
        if wanted[name].dtype.kind == "f":
            np.testing.assert_allclose(answer, wanted[name], rtol=1e-4, atol=1e-4)
        else:
            assert answer.tolist() == wanted[name].tolist()
