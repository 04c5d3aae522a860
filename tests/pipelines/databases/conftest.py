"""Real servers of MariaDB and PostgreSQL: the machine's own programs, on free ports, in temporary folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

# Characters that a log or an address could trip over.
PASSWORD = "s3cr3t'n@b:/"
_BINARIES = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/sbin",
        "/usr/local/bin",
        *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
    ]
)


def find_program(*names: str) -> str:
    found = [path for name in names if (path := shutil.which(name, path=_BINARIES))]
    if not found:
        pytest.skip(f"{names[0]} is not installed here")
    return found[0]


def take_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@contextmanager
def make_server_dir(user: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Makes a folder for a server, and says as whom to run it: neither of the two runs as root."""
    with tempfile.TemporaryDirectory(prefix="db-", ignore_cleanup_errors=True) as name:
        as_user = {}
        if os.getuid() == 0:
            shutil.chown(name, user, user)
            as_user = {"user": user, "group": user, "extra_groups": []}
        yield Path(name), as_user


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text(errors="replace")
        with socket.socket() as place:
            if place.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


@contextmanager
def run_server(command: list[str], port: int, folder: Path, as_user: dict[str, str]) -> Iterator[None]:
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **as_user)
    try:
        wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def run_mariadb() -> Iterator[str]:
    server, client = find_program("mariadbd", "mysqld"), find_program("mariadb", "mysql")
    install = find_program("mariadb-install-db", "mysql_install_db")
    port = take_port()
    with make_server_dir("mysql") as (folder, as_user):
        data = f"--datadir={folder / 'data'}"
        made = [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_user)
        place = f"--socket={folder / 's'}"
        command = [server, "--no-defaults", data, place, f"--port={port}", "--bind-address=127.0.0.1"]
        with run_server(command, port, folder, as_user):
            quoted = PASSWORD.replace("'", "''")
            sql = f"CREATE USER trainer IDENTIFIED BY '{quoted}'; GRANT ALL ON mlmd.* TO trainer"
            subprocess.run([client, "--no-defaults", "-uroot", place, "-e", sql], check=True)
            yield f"mysql://trainer@127.0.0.1:{port}/mlmd"


@contextmanager
def run_postgresql() -> Iterator[str]:
    server, install, create = (find_program(name) for name in ("postgres", "initdb", "createdb"))
    port = take_port()
    with make_server_dir("postgres") as (folder, as_user):
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        made = [install, "-D", str(folder / "data"), "-U", "trainer", "-A", "scram-sha-256", "--no-sync"]
        made.append(f"--pwfile={password_file}")
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **as_user)
        command = [server, "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
        with run_server(command, port, folder, as_user):
            account = ["-h", "127.0.0.1", "-p", str(port), "-U", "trainer"]
            environment = os.environ | {"PGPASSWORD": PASSWORD}
            subprocess.run([create, *account, "mlmd"], check=True, env=environment)
            yield f"postgresql://trainer:${{MLMD_PASSWORD}}@127.0.0.1:{port}/mlmd"


@pytest.fixture(scope="session")
def password() -> str:
    """What the servers want of the user that their addresses name."""
    return PASSWORD


@pytest.fixture(scope="session")
def mariadb_runner() -> Callable[[], AbstractContextManager[str]]:
    """Starts a server; within it, its address."""
    return run_mariadb


@pytest.fixture(scope="session")
def postgresql_runner() -> Callable[[], AbstractContextManager[str]]:
    """Starts a server with a database; within it, its address."""
    return run_postgresql
