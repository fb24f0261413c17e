"""What the project says of itself: documents, packages, supply chain."""
