"""The gate on configurations: what may be built, and what is refused without building anything."""

import json

import pytest

from servable.errors import UnsafeSourceError
from servable.formats.protos import NodeDef
from servable.sources.keras_files.gate import check_config
from servable.sources.keras_files.unknowns import find_aliases


def _layer(class_name, name="victim", **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def _model(*layers):
    return {"class_name": "Sequential", "config": {"name": "outer", "layers": list(layers)}}


def _refusal(config, **kwargs):
    with pytest.raises(UnsafeSourceError) as caught:
        check_config(config, where="model.h5", **kwargs)
    return str(caught.value)


HARMLESS = {
    "bare Keras 2 layer": _layer(
        "Dense", units=3, activation="relu", kernel_initializer={"class_name": "Zeros"}
    ),
    "Keras 3 layer": {**_layer("Dense"), "module": "keras.layers", "registered_name": None},
    "internal module of Keras 3": {**_layer("Functional"), "module": "keras.src.models.functional"},
    "internal module of tf.keras": {**_layer("Dense"), "module": "tensorflow.python.keras.layers.core"},
    "layer of an application": {**_layer("LayerScale"), "module": "keras.src.applications.convnext"},
    "plain function by name": {"class_name": "function", "module": "builtins", "config": "relu"},
    "Keras function named like a builtin": {"class_name": "function", "module": "builtins", "config": "sum"},
    "activation of Keras": {"class_name": "function", "module": "keras.activations", "config": "gelu"},
    "Lambda with a function by its name": _layer("Lambda", function="l2", function_type="function"),
    "vocabulary as a list": _layer("StringLookup", vocabulary=["a", "b"]),
    "TensorFlow call on tensors": _layer("TFOpLambda", function="math.reduce_sum"),
    "operator": _layer("SlicingOpLambda", function="__operators__.getitem"),
    "op of tensors": _layer("TensorFlowOpLayer", node_def={"op": "AddV2", "name": "add"}),
    "class of an unknown name": _layer("Scale"),
}


@pytest.mark.parametrize("config", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_trainers_write_passes(config):
    check_config(_model(config), where="model.h5")


CODE = "4wEAAAA=\n"
LAMBDAS = {
    "Keras 2": _layer("Lambda", function=[CODE, None, None], function_type="lambda"),
    "Keras 3": _layer("Lambda", function={"class_name": "__lambda__", "config": {"code": CODE}}),
    "code in the output shape": _layer("Lambda", function="l2", output_shape=[CODE, None, None]),
    "type says code": _layer("Lambda", function="l2", function_type="lambda"),
    "code in the mask": _layer("Lambda", function="l2", mask=[CODE, None, None]),
    "registered name": _layer("Custom>Lambda", function=[CODE, None, None]),
    "area in the class": {**_layer("layers.Lambda", function=[CODE, None, None]), "module": "keras"},
    "code in an initializer": _layer("Dense", kernel_initializer={"class_name": "__lambda__", "config": {}}),
    "inside a wrapper": _layer(
        "TimeDistributed", layer=_layer("Lambda", "victim", function=[CODE, None, None])
    ),
    "inside a nested model": _model(_layer("Lambda", function=[CODE, None, None])),
}


@pytest.mark.parametrize("config", LAMBDAS.values(), ids=LAMBDAS.keys())
def test_stored_code_is_refused_by_name(config):
    text = _refusal(_model(_layer("Dense", "innocent"), config))
    assert "'victim'" in text
    assert "innocent" not in text
    assert "--custom-objects" in text


def test_every_lambda_is_listed_once():
    layers = [
        _layer("Lambda", f"lambda_{i}", function={"class_name": "__lambda__", "config": {}}) for i in (1, 2)
    ]
    text = _refusal(_model(*layers))
    assert text.count("'lambda_1'") == text.count("'lambda_2'") == 1


DANGERS = {
    "other SavedModel": (_layer("TFSMLayer", filepath="/models/other"), "TFSMLayer"),
    "TorchScript": (_layer("TorchModuleWrapper", module="gANjAA=="), "TorchModuleWrapper"),
    "vocabulary file": (_layer("TextVectorization", vocabulary="/etc/hostname"), "/etc/hostname"),
    "download": ({"class_name": "function", "module": "keras.utils", "config": "get_file"}, "get_file"),
    "safe mode off": (
        {"class_name": "function", "module": "keras.config", "config": "enable_unsafe_deserialization"},
        "enable_unsafe_deserialization",
    ),
    "file read": (_layer("TFOpLambda", function="io.read_file"), "io.read_file"),
    "file read by an old name": (_layer("TFOpLambda", function="compat.v1.read_file"), "read_file"),
    "Python function": (_layer("TFOpLambda", function="py_function"), "py_function"),
    "SavedModel load": (_layer("TFOpLambda", function="saved_model.load"), "saved_model.load"),
    "file class": (_layer("ClassMethod", cls_symbol="io.gfile.GFile", method_name="read"), "io.gfile.GFile"),
    "file op": (_layer("TensorFlowOpLayer", node_def={"op": "ReadFile"}), "ReadFile"),
    "file op as JSON text": (
        _layer("TensorFlowOpLayer", node_def=json.dumps({"op": "WriteFile"})),
        "WriteFile",
    ),
    "code op as a message": (
        _layer(
            "TensorFlowOpLayer",
            node_def=NodeDef(name="x", op="EagerPyFunc").SerializeToString().decode(),
        ),
        "EagerPyFunc",
    ),
    "op that cannot be read": (_layer("TensorFlowOpLayer", node_def="\x00\x01"), "unreadable"),
    "file op that no word in its name tells": (
        _layer("TensorFlowOpLayer", node_def={"op": "ImmutableConst"}),
        "ImmutableConst",
    ),
    "library of file systems": (
        _layer("TFOpLambda", function="compat.v1.load_file_system_library"),
        "load_file_system_library",
    ),
    "sampler that reads a file": (
        _layer("TFOpLambda", function="random.fixed_unigram_candidate_sampler"),
        "fixed_unigram_candidate_sampler",
    ),
    "vocabulary of a feature column": (
        {"class_name": "VocabularyFileCategoricalColumn", "config": {"vocabulary_file": "/etc/passwd"}},
        "/etc/passwd",
    ),
    "checkpoint of a feature column": (
        {"class_name": "EmbeddingColumn", "config": {"ckpt_to_load_from": "/other/model.ckpt"}},
        "/other/model.ckpt",
    ),
    "vocabulary, area in the class": (
        {**_layer("layers.StringLookup", vocabulary="/etc/passwd"), "module": "keras"},
        "/etc/passwd",
    ),
    "other model, area in the class": (
        {**_layer("layers.TFSMLayer", filepath="other"), "module": "keras"},
        "TFSMLayer",
    ),
    "other model, registered name": (
        {**_layer("Dense", filepath="other"), "registered_name": "Keras>TFSMLayer"},
        "another file",
    ),
}


@pytest.mark.parametrize(("config", "named"), DANGERS.values(), ids=DANGERS.keys())
def test_what_does_more_than_build_layers_is_refused(config, named):
    text = _refusal(_model(_layer("Dense", hidden=[{"deep": config}])))
    assert named in text


FOREIGN = {
    "any module": {"module": "os", "class_name": "system", "config": {}},
    "function of a module": {"module": "subprocess", "class_name": "function", "config": "run"},
    "Python builtin": {"module": "builtins", "class_name": "function", "config": "eval"},
    "module that only looks like Keras": {"module": "keras_evil.layers", "class_name": "Dense", "config": {}},
    "part of Keras that is no layer": {
        "module": "keras.utils",
        "class_name": "OrderedEnqueuer",
        "config": {},
    },
    "function of an application": {
        "module": "keras.src.applications.convnext",
        "class_name": "function",
        "config": "ConvNeXtTiny",
    },
    "application that only looks like Keras'": {
        "module": "keras_evil.src.applications.convnext",
        "class_name": "LayerScale",
        "config": {},
    },
    "part of Keras, area in the class": {"module": "keras", "class_name": "utils.Progbar", "config": {}},
    "bare Keras function": {"module": "keras", "class_name": "function", "config": "version"},
    "type spec": {
        "class_name": "__typespec__",
        "module": "os",
        "spec_name": "PathSpec",
        "registered_name": None,
        "config": [],
    },
}


@pytest.mark.parametrize("entry", FOREIGN.values(), ids=FOREIGN.keys())
def test_modules_outside_keras_are_refused_anywhere(entry):
    text = _refusal(_model(_layer("Dense", kernel_regularizer={"inner": [entry]})))
    assert entry["module"] in text


def test_the_users_own_classes_may_come_from_anywhere():
    entry = {**_layer("Scale"), "module": "my_project.layers", "registered_name": "lab>Scale"}
    check_config(_model(entry), where="model.keras", custom_names={"lab>Scale"})
    assert "my_project.layers.Scale" in _refusal(_model(entry), custom_names={"Other"})
    unregistered = {key: value for key, value in entry.items() if key != "registered_name"}
    check_config(_model(unregistered), where="model.keras", custom_names={"Scale"})


# Loaders look a function up by its own name and a class by its registered one, then import the module.
BORROWED = {
    "function": {"module": "os", "class_name": "function", "config": "system", "registered_name": "Scale"},
    "class": {"module": "subprocess", "class_name": "Scale", "config": {}, "registered_name": "Popen"},
    "class registered as nothing": {**_layer("Scale"), "module": "os", "registered_name": None},
}


@pytest.mark.parametrize("entry", BORROWED.values(), ids=BORROWED.keys())
def test_the_name_of_a_users_class_opens_no_other_door(entry):
    assert entry["module"] in _refusal(_model(entry), custom_names={"Scale"})


def test_what_a_file_calls_the_users_classes_is_found():
    layers = [
        {**_layer("Scale"), "module": "net", "registered_name": "lab>Scale"},
        {"module": "builtins", "class_name": "function", "config": "cube", "registered_name": "function"},
        _layer("old>Shift"),
    ]
    objects = {"Scale": 1, "Custom>cube": 2, "Shift": 3}
    assert find_aliases(_model(*layers), objects) == {"lab>Scale": 1, "cube": 2, "old>Shift": 3}


def test_a_custom_object_does_not_excuse_a_danger():
    _refusal(_model(_layer("TFSMLayer")), custom_names={"TFSMLayer"})


def test_depth_does_not_exhaust_the_stack():
    config = _layer("TFSMLayer")
    for _ in range(20_000):
        config = {"config": [config]}
    assert "TFSMLayer" in _refusal(config)


def test_long_names_and_many_findings_take_no_time():
    inner = [{"class_name": "b", "module": "os"}] * 200_000
    text = _refusal({"class_name": "A" * 4_000_000, "config": {"name": "x", "inner": inner}})
    assert len(text) < 10_000
    lambdas = [_layer("Lambda", name=f"code_{number}", function=[CODE]) for number in range(50_000)]
    text = _refusal(_model(*lambdas))
    assert "code_0" in text
    assert "and 49980 more" in text
    assert len(text) < 10_000
