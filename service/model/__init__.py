"""Plain structs: users, keys, sessions and request contexts.

The bottom layer: nothing of this package imports another part of the service.
"""
