"""ROOM 2: images turned, sheared and seen from elsewhere."""

from __future__ import annotations

from servable.export.dialects.site import Site


def replace_projection(site: Site) -> list[str] | None:
    """Says ImageProjectiveTransformV3 that fills with 0 as V2, which knows no other value.

    Images that are mirrored or repeated stay unsaid: TensorFlow 2.3 computes their last row and column as if
    there were zeros behind them.
    """
    value = site.read_const(site.inputs[3])
    if site.read("fill_mode").s != b"CONSTANT" or value is None or value.any():
        return None
    attrs = {name: site.read(name) for name in ("dtype", "interpolation", "fill_mode")}
    return [site.add("ImageProjectiveTransformV2", site.inputs[:3], **attrs)]
