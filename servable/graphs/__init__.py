"""Graphs as messages: what is in them, what reaches what, what training left behind. No TensorFlow here.

What passes through: messages of `servable.formats.protos` come in, plain values go out. Intake, workshop and
inspection all ask here; nothing of a graph is run.
"""
