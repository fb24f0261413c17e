"""`python -m sql`: migrate the database named by DATABASE_URL (what the container's migrate step runs)."""

import sys

from shared.config import load_settings
from shared.postgres.engine import make_engine
from sql.migrate import upgrade

before, after = upgrade(make_engine(load_settings(), application_name="predictq-migrate"))
sys.stdout.write(f"schema: {before or 'empty'} → {after}\n")
