"""What a user would write instead: the short scripts that `performance.py` measures against.

What passes through: a trained model goes in, a SavedModel (or a pushed one) comes out. They do nothing clever
and nothing needless, and import at the top, as scripts do.
"""
