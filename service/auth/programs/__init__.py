"""Programs: other services that ask who a user is, or administer users, with service tokens."""
