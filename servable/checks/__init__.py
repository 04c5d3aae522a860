"""ROOM 3, inspection: a SavedModel comes in, a `Report` goes out; one file per check.

Checks report and never mend. None of them imports Python TensorFlow. Door: `servable.checks.suite`.
"""
