"""What a key may do, and how long an owner's name may be. Without SQLAlchemy: the command line says it in its help."""

from __future__ import annotations

LONGEST_OWNER = 100

PLAIN_ROLES = ("read", "predict", "bulk")
ALL_ROLES = (*PLAIN_ROLES, "features", "operate", "admin")
