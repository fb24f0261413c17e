"""`python -m sql`: migrate the database named by DATABASE_URL (what the container's migrate step runs)."""

import sys

from shared.config import load_settings
from shared.postgres.engine import make_engine
from sql.migrate import old_install, upgrade

engine = make_engine(load_settings(), application_name="predictq-migrate")
before, after = upgrade(engine)
with engine.connect() as connection:
    note = old_install(connection)
sys.stdout.write(f"schema: {before or 'empty'} → {after}\n" + (f"{note}\n" if note else ""))
