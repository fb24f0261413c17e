"""Seals: detached signatures (Ed25519) that say whose a model's file is. Nothing here opens a file."""
