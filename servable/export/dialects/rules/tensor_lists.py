"""ROOM 2: lists of tensors, in which loops keep what each turn takes and gives.

TensorFlow 1.12 does not ask for the shape of an element: it is that of the element that was put in.
"""

from __future__ import annotations

from servable.export.dialects.site import Site


def drop_element_shape(site: Site) -> list[str] | None:
    """Leaves out the last input of TensorListGetItem and TensorListStack."""
    attrs = {"element_dtype": site.read("element_dtype").type}
    if site.node.op == "TensorListStack":
        attrs["num_elements"] = site.read("num_elements").i
    return [site.add(site.node.op, site.inputs[:-1], **attrs)]
