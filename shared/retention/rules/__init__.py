"""The rules of retention: periods, the floor, and legal holds. Nothing here deletes."""
