"""Does the graph itself decide something by all rows of a request? For `inference_mode`.

What passes through: two requests of one signature come in; the branch that they take differently goes out. A
condition such as "is the sum of the batch positive" was trained so, and is no training that was left on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from servable.checks.context import Context
from servable.graphs.graph import normalize_tensor, read_edge
from servable.runtime.outcome import Call
from servable.signature import Signature

# Op to the position of the input that decides. Whether a loop goes on is none of these.
_DECIDED_BY = {"Switch": 1, "RefSwitch": 1, "If": 0, "StatelessIf": 0, "Case": 0, "StatelessCase": 0}
_LOOP = "LoopCond"
_GIVEN = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"})


def list_decisions(signature_name: str, context: Context) -> list[str]:
    """Lists the tensors of the main graph that choose a branch on a signature's path.

    Those inside functions cannot be asked for, and are left out.
    """
    found: dict[str, None] = {}
    for placed in context.reach.iterate_nodes(signature_name):
        position = _DECIDED_BY.get(placed.node.op)
        if placed.place or position is None:
            continue
        data = [text for text in placed.node.input if not text.startswith("^")]
        tensor = normalize_tensor(data[position])
        producer = context.reach.nodes.get(read_edge(tensor).node)
        if producer is not None and producer.op not in (*_GIVEN, _LOOP):
            found[tensor] = None
    return list(found)


def find_other_decision(
    signature: Signature,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    *,
    context: Context,
) -> str | None:
    """Finds a branch that two requests take differently.

    Args:
        signature: Of both requests.
        first: Inputs by serving key.
        second: Likewise.
        context: The SavedModel.

    Returns:
        The tensor that decides, None where all decide alike or cannot be asked.
    """
    tensors = list_decisions(signature.name, context)
    if not tensors:
        return None
    answers = []
    for inputs in (first, second):
        feeds = {signature.inputs[key].tensor: value for key, value in inputs.items()}
        result = context.session.run(Call(feeds, tuple(tensors)))
        if result.fault is not None:
            return None
        answers.append(result.outputs)
    one, other = answers
    return next((tensor for tensor in tensors if not np.array_equal(one[tensor], other[tensor])), None)
