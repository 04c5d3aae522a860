"""Dispatch: from a validated SavedModel to what a platform wants beside it.

What passes through: `warm_up` adds requests that a server answers before it takes clients' own.
"""
