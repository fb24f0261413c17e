"""Parts of workers without a server."""
