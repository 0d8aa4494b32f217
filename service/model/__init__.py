"""Plain structs: users, keys, sessions, and who a request comes from.

The bottom layer: nothing of this package imports another part of the service.
"""
