"""The gateway while something is away, slow or held by others."""
