"""ROOM 1: SavedModels, TF-Hub modules and frozen graphs.

What passes through: a folder or a file comes in, a `TrainedModel` with a `GraphBody` goes out. Doors:
`opening` and `frozen_graph`.
"""
