"""The service's own gunicorn settings for another application, ``$BENCH_APP``; without the service's hooks."""

import os

from alert_threader import server

bind = server.bind
workers = server.workers
worker_class = server.worker_class
threads = server.threads
graceful_timeout = server.graceful_timeout
timeout = server.timeout
keepalive = server.keepalive
control_socket_disable = server.control_socket_disable
logger_class = server.Logger
wsgi_app = os.environ["BENCH_APP"]
