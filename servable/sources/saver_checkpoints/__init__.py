"""ROOM 1: checkpoints of `tf.train.Saver`: graph, variables, moving averages.

What passes through: a resolved checkpoint comes in, a `TrainedModel` with a `GraphBody` goes out. Door:
`opening`.
"""
