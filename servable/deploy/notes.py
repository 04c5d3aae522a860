"""What a user has to know or do before a pack is used.

What passes through: what was chosen and what was checked come in, sentences go out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from servable.deploy.approval import Approval
from servable.deploy.choosing import PlatformRuntime
from servable.deploy.options import STAND_IN, PackOptions
from servable.deploy.platforms import Platform

_URI_OPTIONS: Final = {
    Platform.EAS: "eas",
    Platform.KSERVE: "kserve",
    Platform.VERTEX: "vertex",
    Platform.SAGEMAKER: "sagemaker",
}


def list_stand_ins(platforms: Sequence[Platform], options: PackOptions) -> Iterator[str]:
    """Says which addresses are to be replaced before a descriptor is used."""
    for platform in platforms:
        section = _URI_OPTIONS.get(platform)
        if section is not None and STAND_IN in getattr(options, section).uri:
            uri = getattr(options, section).uri
            yield f"replace {uri} in {platform}/ by where you upload to, or name it with option {section}.uri"


def list_unproven(runtimes: Mapping[Platform, PlatformRuntime], approval: Approval) -> Iterator[str]:
    """Says where nobody has run the model yet."""
    for runtime in runtimes.values():
        gate = runtime.gate
        if gate.version in approval.proven and runtime.is_exact:
            continue
        yield (
            f"{runtime.words} was judged by the registry of TensorFlow {gate.version}, and nobody has run "
            f"the model there; servable prove --target {gate.name}  does"
        )
