"""ROOM 1: from a path in any spelling to files.

What passes through: what a person typed comes in, the prefix of one complete checkpoint goes out. Names are
looked at, and of contents only as much as tells what is complete.
"""
