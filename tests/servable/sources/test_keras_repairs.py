"""Files of old Keras whose words mean something else today, with the answers of those who wrote them."""

import json
from pathlib import Path

import numpy as np
import pytest

from servable.signature import SignatureRequest
from servable.sources.keras_files.config import HDF5_KIND, KerasConfig
from servable.sources.keras_files.old_masks import note_masked_states
from servable.sources.opening import open_source
from servable.sources.options import SourceOptions

MORE_DIR = Path(__file__).parents[2] / "data" / "more"


# keras2.0.9-gru: Keras 2.0.9 on TensorFlow 1.4.1, whose GRU has no `reset_after` yet.
# tfk1.12-relu: tf.keras of TensorFlow 1.12.3, which writes the limits of a ReLU as arrays.
# tfk2.7-masked-attention: tf.keras of TensorFlow 2.7.4, whose attention ignores the masks of its inputs.
@pytest.mark.tensorflow
@pytest.mark.parametrize("case", ["keras2.0.9-gru", "tfk1.12-relu", "tfk2.7-masked-attention"])
@pytest.mark.parametrize("form", ["model.h5", "weights.h5"])
def test_answers_are_those_of_the_runtime_that_wrote_the_file(case, form):
    folder = MORE_DIR / case
    options = SourceOptions(architecture=folder / "model.json" if form == "weights.h5" else None)
    model = open_source(folder / form, options)
    request = SignatureRequest(inputs={"0": "0"}, outputs={"0": "0"})
    with np.load(folder / "golden.npz") as golden:
        answer = model.predict(request, {"0": golden["inputs"]}, frozen={})
        np.testing.assert_allclose(answer["0"], golden["outputs"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("version", "mask", "states", "is_noted"),
    [
        ("2.0.6", True, 1, True),
        ("2.1.6-tf", True, 1, True),
        ("2.2.4-tf", True, 1, False),
        ("2.3.1", True, 1, False),
        ("2.0.6", False, 1, False),
        ("2.0.6", True, 0, False),
    ],
)
def test_a_state_that_masked_steps_would_answer_is_noted(version, mask, states, is_noted):
    ends = [["embedding_1", 0, 0, {}], *[["state", 0, 0, {}]] * states]
    layers = [
        {"class_name": "Embedding", "config": {"name": "embedding_1", "mask_zero": mask}},
        {
            "class_name": "GRU",
            "config": {"name": "gru_1", "return_sequences": True},
            "inbound_nodes": [ends],
        },
    ]
    model = {"class_name": "Model", "config": {"layers": layers}}
    config = KerasConfig(Path("model.h5"), HDF5_KIND, version, "tensorflow", json.loads(json.dumps(model)))
    assert [note.where for note in note_masked_states(config)] == ["layer gru_1"] * is_noted
