"""ROOM 2: sums of products by labelled dimensions.

An equation of two operands is a product of stacks of matrices: labels of both operands that stay are stacks,
labels of both that go are multiplied and summed, labels of one operand are rows or columns, or are summed
before. An ellipsis is a label that stands for any number of dimensions; where both operands have one, their
sizes are stretched to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from servable.export.dialects.rules.shapes import INT32, count_to, cut, join, multiply_up, read_shape, reshape
from servable.export.dialects.site import Site

_ELLIPSIS = "…"


def replace_einsum(site: Site) -> list[str] | None:
    """Says Einsum in transposes, sums, reshapes and matrix products; repeated labels stay unsaid."""
    equation = site.read("equation").s.decode().replace(" ", "").replace("...", _ELLIPSIS)
    left, arrow, wanted = equation.partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != len(site.inputs) or len(terms) > 2:
        return None
    if any(len(set(term)) < len(term) for term in (*terms, wanted)) or not set(wanted) <= set(left):
        return None
    if _ELLIPSIS not in wanted:
        # TensorFlow takes it for no dimensions then.
        terms = [term.replace(_ELLIPSIS, "") for term in terms]
    dtype = site.read("T").type
    operands = [_Operand(site, edge, term, dtype) for edge, term in zip(site.inputs, terms, strict=True)]
    result = operands[0].keep(wanted) if len(operands) == 1 else _multiply(operands[0], operands[1], wanted)
    edge = result.arrange(wanted).edge
    # What hands its input on is a node all the same: others may wait for it.
    return [edge if edge not in site.inputs else site.add("Identity", [edge], T=dtype)]


@dataclass(frozen=True)
class _Operand:
    """A tensor, and a label for each of its dimensions."""

    site: Site
    edge: str
    labels: str
    dtype: int

    @cached_property
    def shape(self) -> str:
        return read_shape(self.site, self.edge, self.dtype)

    def read_sizes(self, labels: str) -> str:
        """Adds the sizes of some labels: int32 [as many as their dimensions]."""
        return self._select(self.shape, labels)

    def keep(self, labels: str) -> _Operand:
        """Sums over all other labels."""
        gone = "".join(label for label in self.labels if label not in labels)
        if not gone:
            return self
        edge = self.site.add("Sum", [self.edge, self._find_places(gone)], T=self.dtype, Tidx=INT32)
        kept = "".join(label for label in self.labels if label in labels)
        return _Operand(self.site, edge, kept, self.dtype)

    def arrange(self, labels: str) -> _Operand:
        """Transposes the tensor to another order of its labels."""
        if labels == self.labels:
            return self
        inputs = [self.edge, self._find_places(labels)]
        edge = self.site.add("Transpose", inputs, T=self.dtype, Tperm=INT32)
        return _Operand(self.site, edge, labels, self.dtype)

    def fold(self, *groups: str) -> str:
        """Adds the tensor with each group of neighbouring labels as one dimension, but the first as it is."""
        lead, *folded = groups
        if all(len(group) == 1 and group != _ELLIPSIS for group in folded):
            return self.edge
        sizes = [self.read_sizes(lead)] if lead else []
        sizes += [multiply_up(self.site, self.read_sizes(group)) for group in folded]
        return reshape(self.site, self.edge, join(self.site, sizes), self.dtype)

    def _find_places(self, labels: str) -> str:
        if _ELLIPSIS not in self.labels:
            return self.site.add_const([self.labels.index(label) for label in labels], "int32")
        rank = self.site.add("Rank", [self.edge], T=self.dtype)
        return self._select(count_to(self.site, rank), labels)

    def _select(self, vector: str, labels: str) -> str:
        """Selects from a vector with one number for each dimension."""
        if labels == self.labels:
            return vector
        places = [self.labels.index(label) for label in labels]
        # Labels that are neighbours already are cut in one piece.
        starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(places)) if b != a + 1), len(places)]
        pieces = [
            cut(self.site, vector, self._spell_place(places[a]), self._spell_place(places[b - 1] + 1))
            for a, b in pairwise(starts)
            if b > a
        ]
        return join(self.site, pieces) if pieces else self.site.add_const([], "int32")

    def _spell_place(self, place: int) -> int | None:
        if place in (0, len(self.labels)):
            return None
        # Behind an ellipsis, only the distance from the end is known.
        behind = _ELLIPSIS in self.labels[:place]
        return place - len(self.labels) if behind else place


def _multiply(x: _Operand, y: _Operand, wanted: str) -> _Operand:
    site, dtype = x.site, x.dtype
    common = [label for label in x.labels if label in y.labels]
    stack = "".join(sorted((label for label in common if label in wanted), key=wanted.index))
    if _ELLIPSIS in stack:
        # In front, where sizes of different numbers are stretched to each other.
        stack = _ELLIPSIS + stack.replace(_ELLIPSIS, "")
    summed = "".join(label for label in common if label not in wanted)
    rows = "".join(label for label in x.labels if label in wanted and label not in common)
    columns = "".join(label for label in y.labels if label in wanted and label not in common)

    x = x.keep(stack + rows + summed).arrange(stack + rows + summed)
    y = y.keep(stack + summed + columns).arrange(stack + summed + columns)
    factors = [x.fold(stack, rows, summed), y.fold(stack, summed, columns)]
    if not summed:
        op = "Mul"
    elif not stack:
        op = "MatMul"
    else:
        op = "BatchMatMulV2" if _ELLIPSIS in stack else "BatchMatMul"
    product = site.add(op, factors, T=dtype)
    labels = stack + rows + columns
    if len(rows) == len(columns) == 1 and _ELLIPSIS not in rows + columns:
        return _Operand(site, product, labels, dtype)
    if _ELLIPSIS in stack:
        sizes = [cut(site, read_shape(site, product, dtype), None, -2)]
    else:
        sizes = [x.read_sizes(stack)] if stack else []
    sizes += [x.read_sizes(rows), y.read_sizes(columns)]
    return _Operand(site, reshape(site, product, join(site, sizes), dtype), labels, dtype)
