"""What endpoints have in common: bodies, problems, headers, cookies, addresses."""
