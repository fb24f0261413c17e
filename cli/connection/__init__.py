"""The way to the service: where it is, HTTP to its gateway, and its database. No command lives here."""
