"""SavedModels of old runtimes under names of the user's, by key and by tensor, beside a stored signature."""

import shutil

import pytest

from servable.export.exporting import export_servable, read_signatures
from servable.signature import SignatureRequest
from servable.sources.opening import open_source

pytestmark = pytest.mark.tensorflow


@pytest.mark.zoo("tf*-sm_*")
def test_renamed_signatures_answer_as_their_writer_did(zoo, case_name, making, tmp_path):
    case = zoo(case_name)
    model = open_source(case.source)
    own = model.signatures[0]
    ((key, tensor),) = own.inputs.items()
    (output,) = own.outputs
    by_key = SignatureRequest("by_key", {"images": key}, {"scores": output})
    by_tensor = SignatureRequest("by_tensor", {key: tensor}, {"scores": own.outputs[output]})
    out = export_servable(model, [by_key, by_tensor, own], tmp_path / "out").path
    moved = tmp_path / "moved"
    shutil.move(out, moved)

    (asked,), (wanted,) = case.read_arrays("inputs").values(), case.read_arrays("outputs").values()
    answers = {
        "by_key": ({"images": asked}, {"scores": wanted}),
        "by_tensor": ({key: asked}, {"scores": wanted}),
        own.name: ({key: asked}, {output: wanted}),
    }
    assert set(read_signatures(moved)) == {*answers, "serving_default"}
    making.require_same_runtime_answers(making.made(moved, answers))
