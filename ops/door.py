"""What the gateway has seen of the targets file."""

from ops.plan import Plan


def await_gateway(plan: Plan) -> None:
    """Wait until the gateway works with the targets as they are written now. Raises OperationError when it does not in time."""
