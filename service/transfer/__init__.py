"""Export and import of users: one documented format, and what reads other systems into it."""
