"""ROOM 2: a graph said again in the words that an older runtime knows.

`adapting.py` is the door. `rules/` holds one rewrite a file; what none of them can say is left for the
verdict.
"""
