"""Driver of SavedModelValidator: what it reads beside its artifacts, in TFX's cache key.

What passes through: the node's execution properties come in; the toolchain, the digest of the files that a
glob finds, and the pushed version that the model is compared with are added. Examples of a channel, and the
model of one, are in the key already, as artifacts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.content_driver import ToolchainDriver
from components.served_model import resolve_served
from components.source_probe.examples import digest_examples

EXAMPLES_DIGEST = "examples_digest"


class ExamplesDriver(ToolchainDriver):
    """Adds example files and the version that is served to the cache key, beside the toolchain."""

    def resolve_external(
        self, exec_properties: Mapping[str, Any], input_dict: Mapping[str, Sequence[Any]]
    ) -> dict[str, str]:
        """Finds the execution properties to add.

        Raises:
            OSError: A file cannot be read.
            ServableError: A pushed version cannot be read.
        """
        added = super().resolve_external(exec_properties, input_dict)
        pattern = exec_properties.get("examples_files") or ""
        if pattern not in ("", "None"):
            added[EXAMPLES_DIGEST] = digest_examples(pattern)
        served = resolve_served(exec_properties, input_dict)
        return added if served is None else added | served.to_properties()
