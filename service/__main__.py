"""``python -m service`` is the command ``ostiary``."""

from service.cli.main import main

main(prog_name="ostiary")
