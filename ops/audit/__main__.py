"""A developer's command: the operator's image holds neither it nor what it needs."""

from ops.audit.command import command

if __name__ == "__main__":
    command()
