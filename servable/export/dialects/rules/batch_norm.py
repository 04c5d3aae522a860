"""ROOM 2: batch norm with stored averages.

FusedBatchNormV3 is FusedBatchNormV2 with one more output, which only the gradient reads.
"""

from __future__ import annotations

from servable.export.dialects.site import Site, output


def replace_batch_norm(site: Site) -> list[str] | None:
    """Says FusedBatchNormV3 in inference mode as FusedBatchNormV2."""
    if site.read("is_training").b or not site.knows("FusedBatchNormV2"):
        return None
    node = site.add(
        "FusedBatchNormV2",
        site.inputs,
        T=site.read("T").type,
        U=site.read("U").type,
        epsilon=site.read("epsilon").f,
        data_format=site.read("data_format").s,
        is_training=False,
    )
    # Nobody reads the sixth in inference: the fifth has its type and stands in for it.
    return [output(node, number) for number in (0, 1, 2, 3, 4, 4)]
