"""Which tests share a process when several processes share a run."""

from typing import Final

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

PLATFORM: Final = ("tests/journeys/", "tests/faults/test_platform_heals.py")
"""They stand on the one platform, which takes long to start."""
SERVERS: Final = ("tests/faults/",)
"""They stand on servers of their own, which they kill."""


def group_of(test: str) -> str:
    """The group of a test by its node id: what stands on one expensive thing, else its file."""
    if test.startswith(PLATFORM):
        return "platform"
    return "servers" if test.startswith(SERVERS) else test.partition("::")[0]


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process one group after the other, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
