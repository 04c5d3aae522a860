"""The try-out: a SavedModel behind the protocols of TensorFlow Serving and PAI-EAS, on this machine.

What passes through: requests of clients come in over HTTP and gRPC, answers of the C++ runtime go out. For
trying clients and models, not for production: no authentication, no batching, no metrics. The room's door is
`servable.serving.server.open_server`.
"""
