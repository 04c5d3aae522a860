"""ROOM 2: what a model reads out of its input or its own scores: labels of sequences, and encoded images."""

from __future__ import annotations

from servable.export.dialects.rules.shapes import (
    INT32,
    INT64,
    STRING,
    count_to,
    cut,
    gather,
    join,
    pick,
    read_shape,
)
from servable.export.dialects.site import Site, output
from servable.signature import DTYPE_NUMBERS

_UINT8 = DTYPE_NUMBERS["uint8"]


def put_blank_last(site: Site) -> list[str] | None:
    """Says CTCGreedyDecoder with a blank of any number as one whose blank is the last class."""
    scores, lengths = site.inputs
    dtype, blank = site.read("T").type, int(site.read("blank_index").i)
    classes = pick(site, read_shape(site, scores, dtype, out_type=INT64), 2, dtype=INT64)
    numbers = count_to(site, classes, dtype=INT64)
    behind = None if blank == -1 else blank + 1
    parts = [cut(site, numbers, None, blank, dtype=INT64)]
    if behind is not None:
        parts.append(cut(site, numbers, behind, None, dtype=INT64))
    parts.append(cut(site, numbers, blank, behind, dtype=INT64))
    order = join(site, parts, dtype=INT64)
    ordered = gather(site, scores, order, dtype, places_type=INT64, axis=2)
    attrs = {"T": dtype} if site.registry.find_attr(site.node.op, "T") is not None else {}
    node = site.add(site.node.op, [ordered, lengths], merge_repeated=site.read("merge_repeated").b, **attrs)
    found = gather(site, order, output(node, 1), INT64, places_type=INT64)
    return [output(node, 0), found, output(node, 2), output(node, 3)]


def decode_by_kind(site: Site) -> list[str] | None:
    """Says DecodeImage as DecodeGif, DecodeBmp or DecodePng, which reads JPEG too, by how the file begins."""
    if site.read("dtype").type != _UINT8:
        return None
    (contents,) = site.inputs
    channels = int(site.read("channels").i)
    zero = site.add_const(0, "int32")
    is_gif, is_bmp = (
        site.add(
            "Equal",
            [_begin(site, contents, zero, len(magic)), site.add_const(magic, "string")],
            T=STRING,
        )
        for magic in (b"GIF", b"BM")
    )
    still = site.add("Switch", [contents, is_gif], T=STRING)
    other = site.add("Switch", [still, is_bmp], T=STRING)
    frames = site.add("DecodeGif", [output(still, 1)])
    if not site.read("expand_animations").b:
        frames = pick(site, frames, 0, dtype=_UINT8)
    images = [
        site.add("DecodePng", [other], channels=channels, dtype=_UINT8),
        site.add("DecodeBmp", [output(other, 1)], channels=channels),
    ]
    image = site.add("Merge", images, T=_UINT8, N=2)
    return [site.add("Merge", [image, frames], T=_UINT8, N=2)]


def _begin(site: Site, text: str, start: str, length: int) -> str:
    return site.add("Substr", [text, start, site.add_const(length, "int32")], T=INT32)
