"""Bodies of REST requests for classify and regress, read: tf.Examples as JSON objects.

What passes through: JSON comes in, serialized tf.Examples go out, each behind the context that all have in
common. The rules are those of tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

from typing import Any

from servable.formats.protos import Example
from servable.serving.json_requests import JsonRequest, read_base64
from servable.serving.statuses import refuse_argument


def read_json_examples(request: JsonRequest) -> list[bytes]:
    """Takes the examples out of a request.

    Raises:
        StatusError: There are none, or one has a value that no feature has.
    """
    document = request.document
    if "examples" not in document:
        raise refuse_argument("When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise refuse_argument("Expecting 'examples' value to be an list/array")
    if not examples:
        raise refuse_argument("'examples' value is an empty array")
    # Two messages one behind the other are one message with the fields of both.
    context = _make_example(document["context"]) if "context" in document else b""
    return [context + _make_example(example) for example in examples]


def _make_example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise refuse_argument("Example must be JSON object but got JSON of another type")
    example = Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for item in content if isinstance(content, list) else [content]:
            _add_value(feature, name, item)
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def _add_value(feature: Any, name: str, item: Any) -> None:
    converted: Any
    if isinstance(item, bool | int):
        kind, converted = "int64_list", int(item)
    elif isinstance(item, float):
        kind, converted = "float_list", item
    elif isinstance(item, str):
        kind, converted = "bytes_list", item.encode("utf-8", "surrogatepass")
    elif isinstance(item, dict):
        kind, converted = "bytes_list", read_base64(item)
    else:
        raise refuse_argument(f"Feature: {name} has element with unexpected JSON type")
    if feature.WhichOneof("kind") not in (None, kind):
        wanted = feature.WhichOneof("kind").removesuffix("_list")
        raise refuse_argument(f"Unexpected element type in feature: {name} expecting type: {wanted}")
    try:
        getattr(feature, kind).value.append(converted)
    except (ValueError, OverflowError) as error:
        raise refuse_argument(f"Feature: {name} has element that is out of range: {error}") from error
