"""Mail: the outbox is sent. Rules put mails into it by `service.auth.outbox`."""
