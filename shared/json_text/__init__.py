"""JSON texts: those that strangers sent, read in steps and strictly; and those that PostgreSQL has written."""
