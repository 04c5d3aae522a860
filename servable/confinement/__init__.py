"""The confined corridor: `servable.convert` in a child process with limits; its door is `converting`.

What passes through: the corridor's own options and results, as JSON and plain bytes.
"""
