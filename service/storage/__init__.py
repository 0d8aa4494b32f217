"""PostgreSQL: connections, tables, migrations and every statement. Without rules."""
