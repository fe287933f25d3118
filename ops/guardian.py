"""Starts a new supervisor when the old one was killed, so that not even its death needs a person.

Runs as the supervisor's own child. Its siblings receive a signal from the kernel when the supervisor dies; it waits until they
are gone and becomes the new supervisor, which starts everything again, a new guardian included. An orderly stop ends it first.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_SECONDS = 0.5


def main(arguments: Sequence[str]) -> None:
    """Watch the parent; take its place when it is gone."""
    configuration = arguments[0]
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    # Only now: at rest the guardian is as small as Python gets.
    from ops.leftovers import end_leftovers

    end_leftovers(Path(configuration).parent.parent, spare={os.getpid()})
    # The pipe to the dead supervisor would break at the first word.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "-c", configuration])  # noqa: S606 - a fixed command, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
