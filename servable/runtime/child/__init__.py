"""The child: loads a SavedModel through TensorFlow's C API and runs it, as a server would.

What passes through: frames on stdin, frames on the pipe that was stdout. Run as ``python -I -S child``: only
the standard library and ctypes, so that nothing of Python TensorFlow can help the model along. Its modules
import one another relatively: in the child they are a package of their own, without `servable` around it.
"""
