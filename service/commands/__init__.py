"""The parts of the command ``ostiary`` that are longer than a few lines."""
