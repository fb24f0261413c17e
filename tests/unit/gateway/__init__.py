"""Parts of the gateway without a server."""
