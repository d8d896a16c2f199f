"""Every kind of REDIS_URL."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.servers import HOST, RedisServer, free_port, program
from tests.build import NOW
from tests.stores.redis.kit import PASSWORD, PREFIX, QUOTED, Open, failure_of, protected
from tests.stores.sending import deliver, fires, kept


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of our own and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")
    openssl = program("openssl")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    run([openssl, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Our CA"], folder)
    run(
        [
            *(openssl, "req", "-x509", *new, "-keyout", "redis.key", "-out", "redis.crt", "-subj", "/CN=redis"),
            *("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"),
            *("-addext", f"subjectAltName=IP:{HOST}"),
        ],
        folder,
    )
    return folder


class TestAddresses:
    """Every kind of REDIS_URL."""

    def test_password_and_database(self, tmp_path: Path, open_verbs: Open) -> None:
        """A password with signs that a URL needs for itself, a user, and a database of one's own."""
        with protected(RedisServer(tmp_path)) as server:
            for login, database in ((f":{QUOTED}", 3), (f"default:{QUOTED}", 4)):
                verbs = open_verbs(f"redis://{login}@{HOST}:{server.port}/{database}")
                verbs.notify([fires("a", "1")], NOW)
                deliver(verbs, "a", "1.0")
                with redis.Redis(port=server.port, db=database, password=PASSWORD) as client:
                    assert client.get(f"{PREFIX}:a") == b"1.0"

    def test_socket(self, tmp_path: Path, open_verbs: Open) -> None:
        """A Redis on the same machine, without the network."""
        path = tmp_path / "redis.sock"
        with protected(RedisServer(tmp_path, unixsocket=str(path))) as server:
            verbs = open_verbs(f"unix://:{QUOTED}@{path}?db=2")
            verbs.notify([fires("a", "1")], NOW)
            with redis.Redis(port=server.port, db=2, password=PASSWORD) as client:
                assert client.exists(f"{PREFIX}-record:a")
        assert "Redis cannot be reached" in failure_of(lambda: verbs.store.read("a"))

    @pytest.mark.parametrize("prefix", [PREFIX, "{threader}:ts"])
    def test_tls(self, tmp_path: Path, open_verbs: Open, authority: Path, prefix: str) -> None:
        """A certificate of the given authority is trusted, any other is an error that says so."""
        port = free_port()
        settings: dict[str, Any] = {
            "tls-port": str(port),
            "tls-cert-file": str(authority / "redis.crt"),
            "tls-key-file": str(authority / "redis.key"),
            "tls-ca-cert-file": str(authority / "ca.crt"),
            "tls-auth-clients": "no",
        }
        with RedisServer(tmp_path / "redis", **settings) as server:
            trusting = open_verbs(f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority / 'ca.crt'}", prefix=prefix)
            trusting.notify([fires("a", "1")], NOW)
            assert kept(trusting.store).firing == 1
            text = failure_of(lambda: open_verbs(f"rediss://{HOST}:{port}/0", prefix=prefix).store.read("a"))
            assert "certificate" in text
            other = open_verbs(f"rediss://{HOST}:{server.port}/0", prefix=prefix)
            plain = failure_of(lambda: other.store.read("a"))
            assert plain.startswith(("Redis cannot be reached", "Redis does not answer"))


def run(command: list[str], folder: Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
