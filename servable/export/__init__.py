"""ROOM 2, workshop: a `TrainedModel` and signatures come in, a SavedModel goes out. Door: `exporting`.

What passes through its two benches: `graphs` cuts a graph and copies its variables as bytes, `objects` traces
a live model. `writing` publishes either in one move, `remote_publishing` sends it to another machine.
"""
