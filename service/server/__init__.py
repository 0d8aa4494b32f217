"""The processes that serve requests: a supervisor, and workers with an event loop each."""
