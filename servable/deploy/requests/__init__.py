"""Examples of requests: what a client types to ask a model, on the platform that serves it.

What passes through: a signature and arrays come in, a command or a program and the exact bytes of its body go
out. The folder's door is `writing.write_request`; `outline` is for pages, which show a form without values.
"""
