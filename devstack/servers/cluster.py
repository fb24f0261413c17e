"""A PostgreSQL data directory: made in one step, so that a crash never leaves half of one."""

import hmac
import os
import shutil
import subprocess
from pathlib import Path

from devstack.errors import CommandFailed, WrongOwner, advice_in
from devstack.servers.accounts import Account
from shared.database_role import DatabaseRole

ADVICE = {
    "Address already in use": "Another program took the port: start again, and another one is chosen.",
    "No space left on device": "The disk is full: free some space.",
    "database files are incompatible": "The data are of another PostgreSQL version: move the directory away.",
    "could not map anonymous shared memory": "Too little memory: lower shared_buffers.",
    "unrecognized configuration parameter": "Correct the name of the setting.",
    "invalid value for parameter": "Correct the value of the setting.",
    "Permission denied": "Give the directory back to its owner, or use another one.",
    "password authentication failed": "address.json is not of these data: put back the one that was here.",
    "could not locate a valid checkpoint record": "The data are damaged: restore a backup, or start afresh.",
}

# Nothing of the user's: PGDATA, PGOPTIONS and the like would change what runs. Some Python builds, whose interpreter
# starts every child, need the last one.
KEPT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **KEPT}
ROLE = DATABASE = "predictq"

# Only our roles, only from this machine, only with their passwords. Nobody can log in as the superuser.
_LOGINS = ",".join([ROLE, *(duty.default_name for duty in DatabaseRole)])
HBA = f"local all {_LOGINS} scram-sha-256\nhost all {_LOGINS} 127.0.0.1/32 scram-sha-256\n"

# Enough to migrate, to make the roles of the services, to make databases for tests and to watch the server, without the
# superuser's reach.
MAY_MAKE_ROLES = f"ALTER ROLE {ROLE} CREATEROLE;\n"
BOOTSTRAP = f"""\
CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '{{password}}';
GRANT pg_monitor, pg_checkpoint, pg_signal_backend TO {ROLE};
CREATE DATABASE {DATABASE} OWNER {ROLE};
"""


def role_password(owners: str, duty: DatabaseRole) -> str:
    """The password of a service's role, made of the owner's, which it does not tell: so there is no more to keep."""
    return hmac.new(owners.encode(), duty.default_name.encode(), "sha256").hexdigest()


def create_cluster(pgdata: Path, programs: Path, account: Account | None, password: str, *, sync: bool) -> None:
    """Make a cluster with our role and database in `pgdata`; `sync` puts it on the disk before it counts.

    Raises:
        CommandFailed: initdb or the first run of the server refused; the message has their words.

    """
    fresh = pgdata.with_name(pgdata.name + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    if account:
        os.chown(fresh, account.uid, account.gid)
    initdb = [str(programs / "initdb"), "-D", ".", "-U", "postgres", "--locale=C", "--encoding=UTF8"]
    _run([*initdb, "--auth=reject", *([] if sync else ["--no-sync"])], fresh, account)
    run_as_superuser(fresh, programs, account, BOOTSTRAP.format(password=password), sync=sync)
    (fresh / "pg_hba.conf").write_text(HBA, encoding="utf-8")
    fresh.rename(pgdata)


def admit_roles(pgdata: Path, programs: Path, account: Account | None) -> None:
    """Let the services' roles into data that were made before there were any. Its server must not run."""
    if (pgdata / "pg_hba.conf").read_text(encoding="utf-8") != HBA:
        run_as_superuser(pgdata, programs, account, MAY_MAKE_ROLES, sync=True)
        (pgdata / "pg_hba.conf").write_text(HBA, encoding="utf-8")


def run_as_superuser(
    pgdata: Path, programs: Path, account: Account | None, sql: str, *, database: str = "postgres", sync: bool
) -> None:
    """Run statements, one per line, on a cluster whose server does not run: the superuser cannot log in otherwise.

    Raises:
        CommandFailed: one of them failed; the message has the server's words.

    """
    # The settings of a cluster that has run keep errors of statements out of its log; these are ours, and must be seen.
    settings = ["-c", f"fsync={'on' if sync else 'off'}", "-c", "log_min_messages=error"]
    _run([str(programs / "postgres"), "--single", "-D", ".", *settings, database], pgdata, account, sql)


def check_owner(pgdata: Path, account: Account | None) -> None:
    """Refuse data of another user before PostgreSQL does so in less helpful words.

    Raises:
        WrongOwner: the data are neither ours nor, for root, the account's.

    """
    owner = pgdata.stat().st_uid
    if owner != (account.uid if account else os.geteuid()):
        raise WrongOwner(pgdata, owner)


def _run(command: list[str], cwd: Path, account: Account | None, text: str = "") -> None:
    result = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        input=text,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if result.returncode != 0 or "ERROR:" in result.stdout:  # the single-user server ends with 0 all the same
        advice = advice_in(result.stdout, ADVICE)
        raise CommandFailed(Path(command[0]).name, result.returncode, result.stdout, advice)
