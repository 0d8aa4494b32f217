"""What other programs ask: service tokens, access tokens, and the keys that sign them."""
