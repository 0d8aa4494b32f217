"""HTTP: what a request may say, what an answer looks like. Knows no SQL."""
