"""Which runtimes a validator finds on this machine: a part of what its verdict rests on.

What passes through: a node's execution properties come in before the cache is asked; the versions that its
policy wants and that are installed go out. A runtime that was added since then makes the node run again.
Neither TensorFlow nor TFX here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.options import read_object
from servable.checks.policy import CheckPolicy
from servable.errors import CheckError
from servable.runtime.installed import find_runtime
from servable.targets.catalog import find_target

# Execution property that the driver adds; with it they are part of the cache key.
RUNTIMES_HERE = "runtimes_here"
_POLICY = "policy"
_NONE = "none"


def describe_runtimes_here(exec_properties: Mapping[str, Any]) -> dict[str, str]:
    """Names the runtimes in which a model will be run.

    Args:
        exec_properties: As the node was given them; one without a policy checks nothing.

    Returns:
        One property, "none" where there is no such runtime; nothing at all without a policy.

    Raises:
        SettingsError: The policy is wrong.
    """
    if _POLICY not in exec_properties:
        return {}
    policy = CheckPolicy.from_dict(read_object(exec_properties[_POLICY], _POLICY))
    found = set()
    for version in (*policy.runtimes, find_target(policy.target).version):
        try:
            found.add(find_runtime(version).version)
        except CheckError:
            continue
    return {RUNTIMES_HERE: ", ".join(sorted(found)) or _NONE}
