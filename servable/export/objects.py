"""ROOM 2: a live model becomes a SavedModel in TensorFlow 2 form.

What passes through: an `ObjectBody` and explicit signatures come in. The model is traced once, each signature
gets the part of the trace that its outputs need, and only the variables and tables which those parts reach
are written: optimizer slots, seeds of dropout and heads that nobody asked for stay behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servable.errors import ExportError, ServableError, SignatureError
from servable.export.object_functions import build_function, trace_body
from servable.export.object_keys import finish_saved_model, name_signature
from servable.export.object_resources import Resources, find_resources
from servable.model import ObjectBody, Progress
from servable.report import Finding
from servable.signature import DEFAULT_SIGNATURE, SignatureRequest
from servable.targets.catalog import Target


def write_object_model(
    body: ObjectBody,
    signatures: Sequence[SignatureRequest],
    default_name: str | None,
    out_dir: Path,
    *,
    target: Target | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Writes a live model as a SavedModel tagged "serve".

    Args:
        body: The model.
        signatures: What to offer; tensors are the model's input and output names. An input that no asked
            output needs may be left out.
        default_name: The signature that "serving_default" also stands for, unless one of that name is asked;
            None for no such alias.
        out_dir: Folder to make; must not exist.
        target: The runtime that is to load it, one of TensorFlow 2; None for the one that exports.
        progress: Told of the stages.

    Returns:
        What was changed for the target.

    Raises:
        SignatureError: A signature does not fit the model, or two have one name.
        ExportError: The model cannot be traced or written, or the target cannot serve it.
    """
    requests = [body.resolve_request(request) for request in signatures]
    _check_requests(requests, default_name)
    if out_dir.exists():
        raise ExportError("The folder to write exists.", expected="a new folder", where=str(out_dir))
    if progress:
        progress("trace model", 0, 1)
    trace = trace_body(body)
    names = {request.name: name_signature(request, number) for number, request in enumerate(requests)}
    functions = {
        names[request.name].safe_name: build_function(trace, body, request, names[request.name])
        for request in requests
    }
    resources = find_resources(body.trackable, trace.concrete, functions.values())
    if progress:
        progress("trace model", 1, 1)
        progress("write model", 0, 1)
    try:
        _save(resources, functions, out_dir)
        alias = _choose_alias(requests, default_name)
        notes = finish_saved_model(out_dir, requests, names, alias, target=target)
    except ServableError:
        shutil.rmtree(out_dir, ignore_errors=True)
        raise
    # TensorFlow raises whatever saving a user's layer comes upon; nothing half-written may stay.
    except Exception as error:
        shutil.rmtree(out_dir, ignore_errors=True)
        raise ExportError(
            "TensorFlow could not write this model.",
            expected="a SavedModel",
            received=f"{type(error).__name__}: {error}",
            where=str(out_dir),
            advice="save it with tf.saved_model.save where it was trained, and see whether that succeeds",
        ) from error
    if progress:
        progress("write model", 1, 1)
    return notes


def _check_requests(requests: Sequence[SignatureRequest], default_name: str | None) -> None:
    names = [request.name for request in requests]
    if not names:
        raise SignatureError("No signature is asked for.", expected="at least one signature")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise SignatureError(
            "Two signatures have one name.", expected="different names", received=", ".join(doubled)
        )
    if default_name is not None and default_name not in names:
        raise SignatureError(
            f"The default signature {default_name!r} is none of those asked for.",
            expected=", ".join(names),
            received=repr(default_name),
        )


def _choose_alias(requests: Sequence[SignatureRequest], default_name: str | None) -> str | None:
    if any(request.name == DEFAULT_SIGNATURE for request in requests):
        return None
    return default_name


def _save(resources: Resources, functions: Mapping[str, Any], out_dir: Path) -> None:
    import tensorflow as tf

    root = tf.Module()
    for name, resource in resources.items():
        setattr(root, name, resource)
    # Gradients of custom gradients are of no use in serving, and would drag their functions along.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(out_dir), signatures=dict(functions), options=options)
