"""ROOM 2: choosing between two tensors element by element.

SelectV2 stretches its three inputs to one shape. Select wants them alike, so that they are stretched before.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import stretch_to_common_shape
from servable.export.dialects.site import Site
from servable.signature import DTYPE_NUMBERS


def replace_select(site: Site) -> list[str] | None:
    """Says SelectV2 as Select of stretched inputs."""
    dtype = site.read("T").type
    types = [DTYPE_NUMBERS["bool"], dtype, dtype]
    return [site.add("Select", stretch_to_common_shape(site, site.inputs, types), T=dtype)]
