"""HTTP: requests, responses, problems and OpenAPI. Without SQL."""
