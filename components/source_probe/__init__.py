"""Task of Kubeflow that looks at what lies outside the pipeline, so that the cache is asked for contents.

`python -m components.source_probe KIND --executor_input JSON` runs before a node, and never from the cache.
What it finds are the properties that a driver adds on other runners (components/content_driver.py); Kubeflow
runs no drivers, but takes them into its key as parameters of the node that follows.
"""
