"""The hashes of erased keys on disk: each line can be found again with the secret that lies beside the log."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.erasure.errors import ErasureLogRefused, ErasureLogUnwritable, NoHashSecret
from shared.erasure.kept_hashes import LOG_NAME, SECRET_NAME, KeptHashes, KeptLine, bad_lines, read_log


def _written(directory: Path) -> list[str]:
    return (directory / LOG_NAME).read_text().splitlines()


def _line_of(directory: Path, key: str) -> KeptLine:
    """The line that a client has with the secret that lies there now."""
    secret = KeptHashes(directory).secret()
    return KeptLine("clients", secret.hash_of("clients", key), secret.fingerprint)


def test_a_line_per_person(tmp_path: Path) -> None:
    """The secret is made once; files are private; a hash depends on source and key; a person is listed once."""
    kept = KeptHashes(tmp_path / "new" / "folder")
    kept.keep("clients", "5")
    KeptHashes(tmp_path / "new" / "folder").keep("clients", "5")
    folder = tmp_path / "new" / "folder"
    assert len(_written(folder)) == 2
    assert read_log(_written(folder)) == [_line_of(folder, "5")]
    secret = kept.secret()
    assert len({secret.hash_of("clients", "5"), secret.hash_of("clients", "6"), secret.hash_of("other", "5")}) == 3
    assert {file.name for file in folder.iterdir()} == {LOG_NAME, SECRET_NAME}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())


@pytest.mark.parametrize("change", ["emptied", "another secret", "a copy put back"])
def test_files_that_are_changed_under_a_running_process(tmp_path: Path, change: str) -> None:
    """What it keeps afterwards is hashed with the secret that is there then: one of memory would find nobody."""
    folder = tmp_path / "kept"
    running = KeptHashes(folder)
    running.keep("clients", "1")
    if change == "emptied":
        shutil.rmtree(folder)
        folder.mkdir()
    elif change == "another secret":
        (folder / SECRET_NAME).write_text("ab" * 32 + "\n")
    else:
        other = tmp_path / "other"
        KeptHashes(other).keep("clients", "9")
        shutil.rmtree(folder)
        shutil.copytree(other, folder)
    running.keep("clients", "2")
    assert _line_of(folder, "2") in read_log(_written(folder))


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31, "ab" * 40])
def test_a_secret_that_is_none(tmp_path: Path, content: str) -> None:
    """An empty or cut one is refused, with its place: hashes without a secret could be made by anybody."""
    (tmp_path / SECRET_NAME).write_text(content)
    with pytest.raises(NoHashSecret, match=SECRET_NAME):
        KeptHashes(tmp_path).keep("clients", "1")
    assert not (tmp_path / LOG_NAME).exists()


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Files end at `size` bytes, as on a disk that becomes full in the middle of a write."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_becomes_full_in_a_line(tmp_path: Path) -> None:
    """Nothing is said to be kept, the log is as it was, and the next line stands by itself."""
    kept = KeptHashes(tmp_path)
    kept.keep("clients", "1")
    before = _written(tmp_path)
    with _room_for((tmp_path / LOG_NAME).stat().st_size + 50), pytest.raises(ErasureLogUnwritable) as raised:
        kept.keep("clients", "2")
    told = str(raised.value)
    assert str(tmp_path / LOG_NAME) in told
    assert "PREDICTQ_ERASURE_DIRECTORY" in told
    assert _written(tmp_path) == before
    kept.keep("clients", "3")
    assert read_log(_written(tmp_path)) == [_line_of(tmp_path, "1"), _line_of(tmp_path, "3")]


def test_a_disk_that_is_full_for_the_secret(tmp_path: Path) -> None:
    """Half a secret is none: nothing is left of it."""
    with _room_for(20), pytest.raises(ErasureLogUnwritable, match=SECRET_NAME):
        KeptHashes(tmp_path).keep("clients", "1")
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_another_process_keeps_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the one before it, which takes back its own line alone where the disk refuses it at last."""
    kept, real, others = KeptHashes(tmp_path), os.fsync, []
    kept.keep("clients", "1")

    def refuse(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        others.append(threading.Thread(target=KeptHashes(tmp_path).keep, args=("clients", "2")))
        others[0].start()
        others[0].join(0.3)  # it must not be there yet
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ErasureLogUnwritable):
        kept.keep("clients", "3")
    others[0].join(30)
    assert read_log(_written(tmp_path)) == [_line_of(tmp_path, "1"), _line_of(tmp_path, "2")]


def test_a_line_after_half_a_line(tmp_path: Path) -> None:
    """What a crash has left is a line of its own, which a replay names, and can go on without."""
    kept = KeptHashes(tmp_path)
    kept.keep("clients", "1")
    with (tmp_path / LOG_NAME).open("a") as log:
        log.write('{"source": "cli')
    kept.keep("clients", "2")
    written = _written(tmp_path)
    with pytest.raises(ErasureLogRefused, match=r"Line 2 is none .* --skip-bad-lines"):
        read_log(written)
    assert bad_lines(written) == [2]
    assert read_log(written, skip_bad=True) == [_line_of(tmp_path, "1"), _line_of(tmp_path, "2")]


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """It is known before anything is erased, and said with the path, the cause and the setting."""
    KeptHashes(tmp_path / "right").check()
    assert (tmp_path / "right" / LOG_NAME).read_text() == ""
    (tmp_path / "a folder" / LOG_NAME).mkdir(parents=True)
    with pytest.raises(ErasureLogUnwritable, match="PREDICTQ_ERASURE_DIRECTORY") as raised:
        KeptHashes(tmp_path / "a folder").check()
    assert os.strerror(errno.EISDIR) in str(raised.value)
    (tmp_path / "a file").write_text("")
    with pytest.raises(ErasureLogUnwritable, match="a file"):
        KeptHashes(tmp_path / "a file").check()


def test_nonsense_in_a_log(tmp_path: Path) -> None:
    """It is refused by the numbers of its lines; lines of earlier releases name no secret, and are read as ever."""
    KeptHashes(tmp_path).keep("clients", "1")
    (right,) = _written(tmp_path)
    old = json.dumps({"source": "clients", "hash": "ab" * 32, "at": "2026-11-25T22:21:14Z"})
    assert read_log([right, old])[1] == KeptLine("clients", "ab" * 32, None)
    another = json.dumps({"source": "clients", "hash": "ab" * 32, "secret": "x"})
    for nonsense in ("5", "{}", '{"source": "c", "hash": "zz"}', "[]", another, "\ufffd"):
        with pytest.raises(ErasureLogRefused, match="Line 2"):
            read_log([right, nonsense])
    with pytest.raises(ErasureLogRefused, match="Lines 1, 3 and 4 are"):
        read_log(["x", right, "y", "z"])
    with pytest.raises(ErasureLogRefused, match="10 and 90 more"):
        read_log(["x"] * 100)
