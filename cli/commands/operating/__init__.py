"""Commands for whoever runs the service: starting it, watching it, and who may do what."""
