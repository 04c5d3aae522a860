"""ROOM 2: choosing one branch of several, as functions and as they stand in a graph that has none."""

from __future__ import annotations

from servable.export.dialects.site import Site, output
from servable.signature import DTYPE_NUMBERS


def replace_switch_of_many(site: Site) -> list[str] | None:
    """Says _SwitchN as Switches one behind the other; an index out of range means the last branch."""
    data, index = site.inputs
    dtype = site.read("T").type
    outputs = []
    for branch in range(site.read("num_outs").i - 1):
        is_taken = site.add("Equal", [index, site.add_const(branch, "int32")], T=DTYPE_NUMBERS["int32"])
        data = site.add("Switch", [data, is_taken], T=dtype)
        outputs.append(output(data, 1))
    return [*outputs, data]


def replace_stateless_case(site: Site) -> list[str] | None:
    """Says StatelessCase as Case, which may have a state and need not."""
    names = [name for name in ("Tin", "Tout", "branches", "output_shapes") if name in site.node.attr]
    node = site.add("Case", site.inputs, **{name: site.node.attr[name] for name in names})
    return [output(node, number) for number in range(len(site.read("Tout").list.type))]
