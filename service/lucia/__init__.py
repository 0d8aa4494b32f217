"""The import from Lucia v2: its tables are read, converted and loaded."""
