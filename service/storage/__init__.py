"""PostgreSQL: the engine, the tables, every statement, and the embedded server. Knows no rules."""
