"""Which kinds of source each converting component takes. Neither TensorFlow nor TFX here."""

from __future__ import annotations

from servable.sources.detect import Kind

CHECKPOINT_KINDS: frozenset[str] = frozenset(
    {Kind.TF1_SAVER, Kind.TF2_OBJECTS, Kind.FROZEN_GRAPH, Kind.SAVED_MODEL}
)

KERAS_KINDS: frozenset[str] = frozenset({Kind.KERAS_HDF5, Kind.KERAS_HDF5_WEIGHTS, Kind.KERAS_ARCHIVE})
