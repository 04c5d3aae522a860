"""Lambda layers of a configuration: found wherever they hide, and swapped before any loader sees them."""

import copy

import pytest

from servable.errors import SettingsError, UnsafeSourceError
from servable.sources.keras_files.gate import check_config
from servable.sources.keras_files.lambdas import REPLACED_CLASS, advise_replacing, find_lambdas, swap_lambdas

CODE = ["4wEAAAA=\n", None, None]


def _lambda(name, **config):
    body = {"name": name, "function": CODE, "function_type": "lambda", "arguments": {}, **config}
    return {"class_name": "Lambda", "config": body}


def _model(name, *layers):
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


NESTED = _model(
    "outer",
    _lambda("lambda"),
    _model("left", _lambda("scale")),
    _model("right", _lambda("scale")),
    {"class_name": "TimeDistributed", "config": {"name": "td", "layer": _lambda("step")}},
)


def test_lambdas_are_found_with_the_way_to_them():
    assert [layer.path for layer in find_lambdas(NESTED)] == [
        "lambda",
        "left/scale",
        "right/scale",
        "td/step",
    ]


def test_the_refusal_says_what_to_type_for_each():
    with pytest.raises(UnsafeSourceError) as caught:
        check_config(NESTED, where="model.h5")
    for name in ("lambda", "left/scale", "right/scale", "step"):
        assert f"--replace-layer {name}=FILE.py:FUNCTION" in caught.value.advice


def test_names_are_quoted_for_the_shell():
    layers = find_lambdas(_model("m", _lambda("my layer")))
    assert advise_replacing(layers) == "--replace-layer 'my layer'=FILE.py:FUNCTION"


def test_swapped_layers_pass_the_gate_and_the_source_is_untouched():
    before = copy.deepcopy(NESTED)
    swapped = swap_lambdas(NESTED, ["lambda", "left/scale", "right/scale", "step"], where="model.h5")
    assert before == NESTED
    assert not find_lambdas(swapped)
    assert CODE[0] not in str(swapped)
    check_config(swapped, where="model.h5", custom_names={REPLACED_CLASS})


def test_what_is_not_swapped_is_still_refused():
    swapped = swap_lambdas(NESTED, ["left/scale"], where="model.h5")
    assert [layer.path for layer in find_lambdas(swapped)] == ["lambda", "right/scale", "td/step"]
    with pytest.raises(UnsafeSourceError, match="'lambda'"):
        check_config(swapped, where="model.h5", custom_names={REPLACED_CLASS})


def test_code_of_shape_and_mask_goes_too():
    layer = _lambda("l", output_shape=CODE, output_shape_type="lambda", mask=CODE, mask_type="lambda")
    (found,) = find_lambdas(_model("m", layer))
    assert found.stored == ("function", "output_shape", "mask")
    swapped = swap_lambdas(_model("m", layer), ["l"], where="model.h5")
    assert CODE[0] not in str(swapped)
    assert swapped["config"]["layers"][0]["config"]["has_mask"] is True


def test_the_list_of_layers_of_the_oldest_keras_is_walked():
    config = {"class_name": "Sequential", "config": [_lambda("l")]}
    assert [layer.path for layer in find_lambdas(config)] == ["l"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("nope", "no Lambda layer"), ("scale", "several Lambda layers"), ("outer/lambda", "no Lambda layer")],
)
def test_a_wrong_name_lists_the_lambda_layers(name, said):
    with pytest.raises(SettingsError, match=said) as caught:
        swap_lambdas(NESTED, [name], where="model.h5")
    assert "left/scale" in caught.value.expected


def test_a_model_without_lambdas_says_so():
    with pytest.raises(SettingsError) as caught:
        swap_lambdas(_model("m"), ["l"], where="model.h5")
    assert "no Lambda layers" in caught.value.expected
