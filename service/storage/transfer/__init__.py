"""Export and import of users: the statements that read and load whole users."""
