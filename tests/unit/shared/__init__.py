"""What gateway and worker share, without a server."""
