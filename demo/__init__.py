"""A mail server and mailboxes to try Postroom on, made on the spot."""
