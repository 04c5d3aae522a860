"""TFX component that turns a checkpoint or a graph of TensorFlow into a SavedModel."""

from components.checkpoint_importer.component import CheckpointImporter

__all__ = ["CheckpointImporter"]
