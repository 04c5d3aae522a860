"""ROOM 2: images turned, sheared and seen from elsewhere."""

from __future__ import annotations

from servable.export.dialects.site import Site

# ImageProjectiveTransformV2 fills with zeros, and not with the nearest pixel.
_FILL_MODES = (b"CONSTANT", b"REFLECT", b"WRAP")


def replace_projection(site: Site) -> list[str] | None:
    """Says ImageProjectiveTransformV3 that fills with 0, or with what is in the image, as V2."""
    mode = site.read("fill_mode").s
    if mode not in _FILL_MODES:
        return None
    value = site.read_const(site.inputs[3])
    if mode == b"CONSTANT" and (value is None or value.any()):
        return None
    attrs = {name: site.read(name) for name in ("dtype", "interpolation", "fill_mode")}
    return [site.add("ImageProjectiveTransformV2", site.inputs[:3], **attrs)]
