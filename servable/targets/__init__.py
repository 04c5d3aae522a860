"""What each serving runtime can load: ops, attributes and kernels as data, loader rules, names people use.

Workshop and inspection both ask here; nothing here asks them. No TensorFlow here.
"""
