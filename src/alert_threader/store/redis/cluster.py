"""Connections to the server of a Redis in cluster mode that holds our names.

A hash tag in the prefix keeps all of them in one slot
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags), so one server has all that the
service writes, and what it does on a single Redis it can do there: scripts, pipelines, and WAIT on the connection that
wrote. redis-py's client for a whole cluster chooses by itself which servers get a WAIT, so this is a pool of
connections, as redis-py has one for Sentinels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.crc import key_slot
from redis.exceptions import AskError, NoPermissionError, ReadOnlyError, RedisError, ResponseError

_Address = tuple[str, int]
#: How many servers are asked for the one that holds our names, at most.
_ASKED = 3


class _Connection(Connection):
    """A connection to whichever server holds our names when it is made."""

    def __init__(self, *, connection_pool: "ClusterPool", **options: Any) -> None:
        self._pool = connection_pool
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def connect(self) -> None:
        if self._sock is None:
            self.host, self.port = self._pool.get_master_address()
        super().connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except (AskError, ReadOnlyError) as error:
            # The next command asks again who holds them.
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError(f"another server of the cluster has the threads by now: {error}") from error


class _SSLConnection(_Connection, SSLConnection):
    """The same with TLS."""


class ClusterPool(ConnectionPool):
    """A pool for the server that holds the slot of ``name``. A Redis without cluster mode holds everything itself."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        """Take a name with the hash tag, and the options of redis-py for a connection; nothing is connected yet."""
        known = dict(options)
        is_tls = issubclass(known.pop("connection_class", Connection), SSLConnection)
        super().__init__(connection_class=_SSLConnection if is_tls else _Connection, connection_pool=self, **known)
        self._slot = key_slot(name.encode())
        share = {limit: known[limit] / _ASKED for limit in ("socket_connect_timeout", "socket_timeout")}
        self._options = {**known, **share, "ssl": is_tls}
        self._first: _Address = known.get("host", "localhost"), int(known.get("port", 6379))
        #: Those who can be asked, the one that answered last first.
        self._servers: list[_Address] = [self._first]
        self._clients: dict[_Address, redis.Redis] = {}
        #: The server that holds our names, None before anybody was asked, and whether it has replicas.
        self.master_address: _Address | None = None
        self.has_replicas = False

    def get_master_address(self) -> _Address:
        """Ask who holds our names; idle connections to another server are closed. Raises RedisError."""
        failure: RedisError | None = None
        for asked in list(dict.fromkeys([*self._servers, self._first]))[:_ASKED]:
            try:
                address, replicas = self._holder(asked)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = error
                continue
            self._servers = list(dict.fromkeys([asked, *replicas, address]))
            self.has_replicas = bool(replicas)
            if address != self.master_address:
                self.master_address = address
                self.disconnect(inuse_connections=False)
            return address
        self._servers = [*self._servers[_ASKED:], *self._servers[:_ASKED]]
        raise failure or redis.ConnectionError("no server of the cluster is known")

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections."""
        super().disconnect(inuse_connections)
        for client in list(self._clients.values()):
            client.close()

    def _holder(self, asked: _Address) -> tuple[_Address, Sequence[_Address]]:
        """The server that holds our slot, and its replicas, as a server says."""
        host, port = asked
        client = self._clients.get(asked)
        if client is None:
            client = self._clients[asked] = redis.Redis(**{**self._options, "host": host, "port": port})
        try:
            ranges: Any = client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
        except NoPermissionError:
            raise
        except ResponseError:
            return asked, ()  # no cluster mode
        for first, last, *servers in ranges:
            if first <= self._slot <= last:
                # An empty name stands for the one that was asked.
                holder, *replicas = [((each[0] or b"").decode() or host, int(each[1])) for each in servers]
                return holder, replicas
        raise redis.ConnectionError(f"no server of the cluster holds slot {self._slot}")
