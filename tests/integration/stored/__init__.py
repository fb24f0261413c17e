"""What is stored: retention, erasure, and the upkeep."""
