"""What was measured as goals, a table and a picture. Nothing is measured here."""
