"""ROOM 2: tensors with some of their values changed.

TensorFlow 1.12 scatters into variables only. A temporary variable lives as long as one run of the node needs
it, and takes any shape.
"""

from __future__ import annotations

from servable.export.dialects.site import Site
from servable.formats.protos import AttrValue

_REF_OPS = {
    "TensorScatterUpdate": "ScatterNdUpdate",
    "TensorScatterAdd": "ScatterNdAdd",
    "TensorScatterSub": "ScatterNdSub",
}


def scatter_into_variable(site: Site) -> list[str] | None:
    """Says TensorScatterUpdate, -Add and -Sub by way of a temporary variable."""
    tensor, indices, updates = site.inputs
    dtype, index = site.read("T").type, site.read("Tindices").type
    op = _REF_OPS[site.node.op]
    if site.read("bad_indices_policy").s or not site.can_run(op, T=dtype, Tindices=index):
        return None
    shape = AttrValue()
    shape.shape.SetInParent()
    # Its name is that of a value in the step, and has to be its own.
    name = f"{site.node.name}/tensor"
    variable = site.add("TemporaryVariable", [], shape=shape, dtype=dtype, var_name=name)
    filled = site.add("Assign", [variable, tensor], T=dtype, validate_shape=False)
    changed = site.add(op, [filled, indices, updates], T=dtype, Tindices=index)
    return [site.add("DestroyTemporaryVariable", [changed], T=dtype, var_name=name)]
