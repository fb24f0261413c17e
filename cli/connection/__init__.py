"""The way to the service: where it is, HTTP to its gateway, and its database. No command and no words for a person."""
