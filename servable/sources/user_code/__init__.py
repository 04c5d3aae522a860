"""ROOM 1: Python files that the user names: the only code, beside the frameworks, that is ever run.

What passes through: a path from an option comes in; the file's objects, and a note with its sha256, go out.
"""
