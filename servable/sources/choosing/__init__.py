"""ROOM 1: what a training graph does not say: inputs, outputs, switches.

What passes through: a MetaGraphDef comes in, complete requests or ranked candidates go out. Door:
`completing`.
"""
