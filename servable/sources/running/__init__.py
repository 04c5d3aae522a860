"""ROOM 1: runs a source as its own framework would, for the baseline's sake.

What passes through: a `GraphBody`, a request and inputs come in, the source's own outputs go out. Doors:
`session` for graphs with a checkpoint, `saved_model` for SavedModels.
"""
