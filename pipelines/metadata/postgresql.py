"""Three faults of ML Metadata on PostgreSQL, mended from outside for every store of this process.

What passes through: nothing of ours; once mended, what TFX asks of ML Metadata. The faults are of 1.17 and of
1.21, and of no other database:

- Two processes that register a type at the same time each make one, since the table lacks the constraint that
  other databases have. What is recorded with the one is never found by the name of the other, and a run finds
  no inputs. Here, a new type has an external id, which the table takes only once.
- What is asked for by id comes in any order. TFX's cache takes the order of the ids for granted, and mistakes
one
  output of a node for another. Here, answers are put into that order.
- A text with a backslash makes a faulty statement: the quotes are cut off blindly, also from an `E'...'`. TFX
  records such a text of every node that fails. Here, a backslash is kept as a character that looks like it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.message import Message

# "FULLWIDTH REVERSE SOLIDUS".
_BACKSLASH: Final = "\N{FULLWIDTH REVERSE SOLIDUS}"
_WAIT_S: Final = 10.0
_STEP_S: Final = 0.05
# Question to register a type: its field, and the question for a type by name.
_REGISTRATIONS: Final = {
    "PutArtifactType": ("artifact_type", "GetArtifactType"),
    "PutExecutionType": ("execution_type", "GetExecutionType"),
    "PutContextType": ("context_type", "GetContextType"),
}
# Question by id: the field of the ids, and of what is found.
_BY_ID: Final = {
    "GetArtifactsByID": ("artifact_ids", "artifacts"),
    "GetExecutionsByID": ("execution_ids", "executions"),
    "GetContextsByID": ("context_ids", "contexts"),
}
_MARK: Final = "_mended_by_servable"

Call = Callable[..., None]


def mend_postgresql() -> None:
    """Mends all stores on PostgreSQL of this process, those of TFX included; twice does no more than once."""
    from ml_metadata.metadata_store import MetadataStore

    original: Call = MetadataStore._call
    if getattr(original, _MARK, False):
        return

    def call(store: Any, method_name: str, request: Any, response: Any, *rest: Any) -> None:
        if not _is_on_postgresql(store):
            original(store, method_name, request, response, *rest)
            return
        if method_name in _REGISTRATIONS:
            _register_once(store, original, method_name, request, response)
            return
        _call_plainly(store, original, method_name, request, response)

    setattr(call, _MARK, True)
    MetadataStore._call = call


def _call_plainly(store: Any, original: Call, method_name: str, request: Any, response: Any) -> None:
    """Asks without backslashes, and puts the answer into the order of the question."""
    # Bytes are looked at first: texts are many, and backslashes are few.
    if b"\\" in request.SerializeToString():
        request = _replace_in_copy(request, "\\", _BACKSLASH)
    original(store, method_name, request, response)
    if method_name in _BY_ID:
        ids, found = _BY_ID[method_name]
        places = {number: place for place, number in enumerate(getattr(request, ids))}
        getattr(response, found).sort(key=lambda one: places[one.id])
    if _BACKSLASH.encode() in response.SerializeToString():
        _replace(response, _BACKSLASH, "\\")


def _is_on_postgresql(store: Any) -> bool:
    config = store._config
    return "postgresql" in config.DESCRIPTOR.fields_by_name and bool(config.HasField("postgresql"))


def _register_once(store: Any, original: Call, method_name: str, request: Any, response: Any) -> None:
    """Registers a type with an external id, of which the table takes no second one.

    Who comes second is refused, and then registers what is there as TFX always does: properties are added.
    """
    from ml_metadata import errors

    field, question = _REGISTRATIONS[method_name]
    wanted = getattr(request, field)
    if not (wanted.version or wanted.external_id or _has_type(store, original, question, wanted.name)):
        marked = type(request)()
        marked.CopyFrom(request)
        getattr(marked, field).external_id = f"{field}:{wanted.name}"
        try:
            original(store, method_name, marked, response)
        except errors.StatusError:
            end = time.monotonic() + _WAIT_S
            while not _has_type(store, original, question, wanted.name) and time.monotonic() < end:
                time.sleep(_STEP_S)
        else:
            return
    original(store, method_name, request, response)


def _has_type(store: Any, original: Call, question: str, name: str) -> bool:
    from ml_metadata import errors
    from ml_metadata.proto import metadata_store_service_pb2

    request = getattr(metadata_store_service_pb2, f"{question}Request")(type_name=name)
    try:
        original(store, question, request, getattr(metadata_store_service_pb2, f"{question}Response")())
    except errors.NotFoundError:
        return False
    return True


def _replace_in_copy(message: Any, old: str, new: str) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    _replace(copy, old, new)
    return copy


def _replace(message: Message, old: str, new: str) -> None:
    """Replaces a character in every text of a message, but not in the keys of its maps."""
    for part in _walk(message):
        for field, value in part.ListFields():
            if field.type != field.TYPE_STRING or _is_repeated(value):
                continue
            if old in value:
                setattr(part, field.name, value.replace(old, new))


def _walk(message: Message) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for one in value.values():
                    yield from _walk(one)
        elif _is_repeated(value):
            for one in value:
                yield from _walk(one)
        else:
            yield from _walk(value)


def _is_repeated(value: Any) -> bool:
    return not isinstance(value, str | bytes | Message)
