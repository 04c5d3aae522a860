"""Checkpoints on disk, formats V1 and V2, read and written without TensorFlow.

What passes through: a prefix comes in, a `TensorBundle` and values of its tensors go out. Door: `bundle`.
"""
