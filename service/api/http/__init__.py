"""What HTTP needs around the endpoints: bodies, problems, headers, addresses."""
