"""ROOM 2: diagonals of matrices.

Newer ops take a diagonal beside the main one, several at once, and what to fill up with. Older ones know the
main diagonal and zeros.
"""

from __future__ import annotations

from servable.export.dialects.site import Site

# The newest runtimes write the third form for everything; the second says as much of a single diagonal.
_OLDER = {
    "MatrixDiagV3": ("MatrixDiagV2", "MatrixDiag"),
    "MatrixDiagV2": ("MatrixDiag",),
    "MatrixDiagPartV3": ("MatrixDiagPartV2", "MatrixDiagPart"),
    "MatrixDiagPartV2": ("MatrixDiagPart",),
    "MatrixSetDiagV3": ("MatrixSetDiagV2", "MatrixSetDiag"),
    "MatrixSetDiagV2": ("MatrixSetDiag",),
}
# Where the number of the diagonal is among the inputs.
_NUMBER_AT = {"MatrixDiag": 1, "MatrixDiagPart": 1, "MatrixSetDiag": 2}


def replace_diagonal(site: Site) -> list[str] | None:
    """Says ops of diagonals in their older forms, where these say as much."""
    dtype = site.read("T").type
    for op in _OLDER[site.node.op]:
        is_first = op in _NUMBER_AT
        at = _NUMBER_AT[op.removesuffix("V2")]
        fits = _is_main(site, at) if is_first else _is_single(site, at) or _is_aligned_left(site)
        if site.can_run(op, T=dtype) and fits:
            return [site.add(op, site.inputs[:at] if is_first else site.inputs, T=dtype)]
    return None


def _is_single(site: Site, at: int) -> bool:
    """Only a band of several diagonals is aligned."""
    numbers = site.read_const(site.inputs[at])
    return numbers is not None and numbers.size in (1, 2) and len(set(numbers.ravel().tolist())) == 1


def _is_aligned_left(site: Site) -> bool:
    return str(site.node.op).endswith("V3") and bool(site.read("align").s == b"LEFT_LEFT")


def _is_main(site: Site, at: int) -> bool:
    numbers = site.read_const(site.inputs[at])
    if numbers is None or set(numbers.ravel().tolist()) != {0}:
        return False
    if site.node.op.startswith("MatrixDiagV"):
        rows, columns, filler = (site.read_const(edge) for edge in site.inputs[at + 1 :])
        # A filler is read where there are more rows or columns than the diagonal needs.
        return all(size is not None and size.ravel().tolist() == [-1] for size in (rows, columns)) and (
            filler is not None and not filler.any()
        )
    return True
