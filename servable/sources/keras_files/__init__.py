"""ROOM 1: files of Keras: what they hold, what may be loaded, and how it is called.

What passes through: HDF5 files, `.keras` archives and JSON come in and go through `gate`, `hdf5` and
`archive` before any loader sees them; configurations and live models go out.
"""
