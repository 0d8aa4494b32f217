"""The protocol between the service and OpenID providers, which knows nothing of users."""
