"""Makes a process cooperative before anything else is imported. Only the event stream process wants that."""

import sys


def prepare() -> None:
    """Patch sockets, threads and the Postgres driver for gevent when this process is to be an event stream hub."""
    if sys.argv[1:2] == ["stream"]:
        from gevent import monkey

        monkey.patch_all()
        from psycogreen.gevent import patch_psycopg

        patch_psycopg()
