"""Room 1, intake: the JSON of Keras files, parsed within bounds. No TensorFlow here.

What passes through: the text of a configuration comes in, its values go out. Parsed values take far more
memory than their text ("{}," is three bytes and an object of 72): they are counted before they are made.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

# A vocabulary is the only long list of a configuration, and a million words are a large one. So many values
# take less than half a gigabyte.
MAX_VALUES: Final = 5_000_000


def parse_config(text: str, *, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Parses a configuration.

    Args:
        text: JSON.
        object_hook: As `json.loads` takes it.

    Raises:
        ValueError: The text is not JSON, or holds too many values.
        RecursionError: It nests too deep.
    """
    # Commas within texts are counted too; no honest file comes near.
    count = sum(text.count(sign) for sign in "[{,")
    if count > MAX_VALUES:
        raise ValueError(f"about {count} values, where at most {MAX_VALUES} are read")
    return json.loads(text, object_hook=object_hook)
