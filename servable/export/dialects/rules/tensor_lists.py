"""ROOM 2: lists of tensors, in which loops keep what each turn takes and gives.

TensorFlow 1.12 does not ask for the shape of an element: it is that of the element that was put in. Up to
2.11, a list does not grow when something is put behind its end.
"""

from __future__ import annotations

from servable.export.dialects.rules.shapes import INT32
from servable.export.dialects.site import Site


def drop_element_shape(site: Site) -> list[str] | None:
    """Leaves out the last input of TensorListGetItem and TensorListStack."""
    attrs = {"element_dtype": site.read("element_dtype").type}
    if site.node.op == "TensorListStack":
        attrs["num_elements"] = site.read("num_elements").i
    return [site.add(site.node.op, site.inputs[:-1], **attrs)]


def grow_before(site: Site) -> list[str] | None:
    """Says TensorListSetItem that grows its list as TensorListResize and the same without."""
    if not site.read("resize_if_index_out_of_bounds").b:
        return None
    tensors, index, item = site.inputs
    least = site.add("Add", [index, site.add_const(1, "int32")], T=INT32)
    size = site.add("Maximum", [site.add("TensorListLength", [tensors]), least], T=INT32)
    grown = site.add("TensorListResize", [tensors, size])
    dtype = site.read("element_dtype").type
    return [site.add(site.node.op, [grown, index, item], element_dtype=dtype)]
