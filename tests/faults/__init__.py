"""What the service does while its surroundings fail: ``make test-faults``."""
