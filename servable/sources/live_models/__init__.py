"""ROOM 1: models as live objects: of Keras, or `tf.Module`, with their weights from any file.

What passes through: a resolved source comes in, a `TrainedModel` with an `ObjectBody` goes out. Doors:
`keras_opening` and `object_checkpoint`.
"""
