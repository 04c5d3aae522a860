"""ROOM 2: branches of functions."""

from __future__ import annotations

from servable.export.dialects.site import Site, output


def replace_stateless_case(site: Site) -> list[str] | None:
    """Says StatelessCase as Case, which may have a state and need not."""
    names = [name for name in ("Tin", "Tout", "branches", "output_shapes") if name in site.node.attr]
    node = site.add("Case", site.inputs, **{name: site.node.attr[name] for name in names})
    return [output(node, number) for number in range(len(site.read("Tout").list.type))]
