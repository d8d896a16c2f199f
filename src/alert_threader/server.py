"""gunicorn's settings and hooks, for ``gunicorn.conf.py`` to take from here.

Importing this module reads the environment, as a configuration file does.

Requests mostly wait, so a worker answers them in threads. The file store belongs to one process, so it has one worker;
with Redis there are WEB_CONCURRENCY. Delivery starts in each worker after its boot and stops when it exits.
"""

import logging
import os
import resource
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from gunicorn import glogging
from gunicorn.arbiter import Arbiter

from alert_threader import temporary
from alert_threader.app import create_app
from alert_threader.errors import NO_THREADS, AlertThreaderError, ConfigError, SystemLimitError
from alert_threader.service import service_of
from alert_threader.settings.settings import Settings, misspelt_in
from alert_threader.store import check_free, open_store
from alert_threader.telemetry import logs, multiprocess
from alert_threader.threads import Policy
from alert_threader.worker.worker import Worker

log = logging.getLogger(__name__)

#: The exit status of a worker that cannot start: the master ends too, instead of starting one worker after the other.
_BOOT_ERROR = Arbiter.WORKER_BOOT_ERROR
#: How long a start waits for the former process to release the file store, in seconds.
_LOCK_WAIT = 5.0
#: How many threads a worker needs beside its first: for requests, the watcher, two senders, the readable copy.
_THREADS = 6
#: How many connections a worker may hold, unless the limit on open files allows fewer.
_CONNECTIONS = 1000


def _connections() -> int:
    """How many connections a worker may hold: out of file descriptors, its next accept() would end it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A busy thread may open two; 32 are for the store, Slack and Python itself.
    return max(min(_CONNECTIONS, files - 2 * settings.web_threads - 32), 1)


def _settings() -> Settings:
    try:
        return Settings.from_environ(os.environ)
    except ConfigError as error:
        sys.stderr.write(f"alert-threader cannot start, the settings are wrong:\n{error}\n")
        sys.exit(1)


def _temporary_folder() -> str:
    try:
        return str(temporary.settle(settings.thread_store_file.parent))
    except AlertThreaderError as error:
        sys.stderr.write(f"alert-threader cannot start: {error}\n")
        sys.exit(1)


settings = _settings()

bind = settings.bind
wsgi_app = "alert_threader.server:app()"
proc_name = "alert-threader"
workers = settings.web_concurrency
worker_class = Worker
threads = settings.web_threads
graceful_timeout = int(settings.graceful_timeout)
# A reloaded worker waits for the one before it to leave the file, and must not be taken for a hung one meanwhile.
timeout = graceful_timeout + 30
keepalive = 30
worker_connections = _connections()
control_socket_disable = True
worker_tmp_dir = _temporary_folder()
# A large cookie of a proxy's is no reason to lose an alert. All headers together are bounded by the worker.
limit_request_field_size = 16 * 1024
# Nothing here depends on the scheme or the path in front, so what proxies say of them cannot contradict itself.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

#: Where several workers keep their metrics; None where one worker has all of them in memory.
_metrics_folder: Path | None = None


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, written by our handler in our form: its own would let secrets and line breaks through."""

    def setup(self, cfg: Any) -> None:
        """Let gunicorn set itself up, then leave its lines to the root logger."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        logs.configure(settings.log_level, settings.log_format, sys.stderr, settings.secrets())


logger_class = Logger


def app() -> Any:
    """The WSGI application of a worker. Its store is opened later: ``--check-config`` must not touch a running one."""
    if _metrics_folder is not None:
        try:
            multiprocess.share(_metrics_folder)
        except OSError as error:
            _say_unshared(error)
    return create_app(settings, open_now=False)


def nworkers_changed(server: Any, wanted: int, _before: int | None) -> None:
    """Keep one worker where the store belongs to one process: ``-w 4``, or TTIN, is not what this store can do.

    A second worker would wait for the lock, give up, and take the first one with it.
    """
    if settings.thread_store == "file" and wanted > 1:
        log.warning("the file store has one worker: %s need THREAD_STORE=redis", wanted)
        server.cfg.set("workers", 1)
        server.num_workers = 1


def on_starting(server: Any) -> None:
    """Fail at once, with one line, if another process owns the store, or the system allows too few threads."""
    try:
        check_free(settings, _LOCK_WAIT)
        _check_threads()
    except AlertThreaderError as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - one line
        sys.exit(1)
    if misspelt := misspelt_in(os.environ):
        log.warning("some settings are not read: %s", "; ".join(misspelt))
    if settings.exposure:
        log.warning("%s", settings.exposure)
    if settings.thread_store == "redis":
        _say_unusable()
    # A master before this one may have had several workers, and been killed.
    with suppress(OSError):
        multiprocess.remove_stale()
    if server.num_workers > 1:
        _share_metrics()


def _say_unusable() -> None:
    """Say at once what every webhook would be answered: a Redis that is away may come back, wrong settings do not."""
    try:
        with closing(open_store(settings, Policy())) as store:
            store.ping()
    except AlertThreaderError as error:
        log.warning("nothing can be stored now: %s", error)


def _check_threads() -> None:
    """Raise SystemLimitError unless a worker and its threads can be started: here that is one line, later a crash."""
    checked = threading.Event()
    # The worker itself is a process, which counts as one more.
    threads = [threading.Thread(target=checked.wait) for _ in range(1 + _THREADS)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise SystemLimitError(f"a worker needs {len(threads)} threads: {NO_THREADS}") from error
    finally:
        checked.set()
        for thread in started:
            thread.join()


def _share_metrics() -> None:
    global _metrics_folder  # noqa: PLW0603 - gunicorn's hooks share nothing else
    try:
        _metrics_folder = multiprocess.make_folder()
    except OSError as error:
        _say_unshared(error)


def _say_unshared(error: OSError) -> None:
    log.warning("/metrics and /stats will show one worker at a time: %s", error)


def on_reload(_server: Any) -> None:
    """Read the settings again (HUP): a rotated token, say. Wrong ones do not stop a service that runs."""
    global settings  # noqa: PLW0603 - gunicorn's hooks share nothing else
    former = settings
    try:
        settings = Settings.from_environ(os.environ)
        # The former secrets can still come up in a line.
        secrets = (*former.secrets(), *settings.secrets())
        logs.configure(settings.log_level, settings.log_format, sys.stderr, secrets)
    except ConfigError as error:
        log.error("going on with the former settings: %s", "; ".join(error.faults))  # noqa: TRY400 - one line


def post_worker_init(worker: Any) -> None:
    """Open the store, waiting for the worker that this one follows, and begin to deliver."""
    service = service_of(worker.wsgi)
    try:
        service.open(lock_wait=settings.graceful_timeout + _LOCK_WAIT)
        service.start()
    except AlertThreaderError as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - one line
        sys.exit(_BOOT_ERROR)
    except RuntimeError as error:
        if "thread" not in str(error):
            raise
        log.error("cannot start: %s", NO_THREADS)  # noqa: TRY400 - one line
        sys.exit(_BOOT_ERROR)
    worker.max_body = settings.max_body
    worker.count_refused = service.metrics.requests.refused
    worker.stopping = service.begin_stop
    log.info("ready", extra={"store": settings.thread_store, "channel": settings.slack_channel})


def child_exit(_server: Any, worker: Any) -> None:
    """Let the metrics forget what a worker that has ended was doing."""
    if _metrics_folder is not None:
        multiprocess.drop_worker(_metrics_folder, worker.pid)


def on_exit(_server: Any) -> None:
    """Leave nothing behind."""
    if _metrics_folder is not None:
        multiprocess.remove_folder(_metrics_folder)


def worker_exit(_server: Any, worker: Any) -> None:
    """Let the call in flight end and close the store. What is pending is stored."""
    if getattr(worker, "wsgi", None) is None:
        return
    if not service_of(worker.wsgi).close(timeout=settings.slack_timeout + 1):
        log.warning("a call to Slack did not end in time: its outcome is looked up at the next start")
