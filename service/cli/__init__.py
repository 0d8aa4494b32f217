"""The command ``ostiary``: a file for each subcommand."""
