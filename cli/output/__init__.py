"""What a person reads: lines, bars and words. Nothing here asks the service."""
