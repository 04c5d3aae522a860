"""File formats: protobuf messages, files, addresses and digests, without TensorFlow.

What passes through: bytes of files that nobody has looked at yet come in, checked values go out; checkpoints
have a folder of their own.
"""
