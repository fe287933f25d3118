"""What goes wrong in operation. Every message says what to do next."""


class OperationError(Exception):
    """A command cannot go on. `details` are lines shown below the message, for example the end of a log."""

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class PortTaken(OperationError):
    """Another program listens where ours should."""

    def __init__(self, port: int, purpose: str, variable: str) -> None:
        super().__init__(
            f"Port {port} ({purpose}) is taken by another program. Choose other ports with {variable}, for example "
            f"`{variable}={_suggestion(port, variable)} make up`, or end that program (`ss -ltnp 'sport = :{port}'` names it)."
        )
        self.port = port
        self.variable = variable


def _suggestion(port: int, variable: str) -> int:
    step = 1 if variable == "LUMIERE_PORT" else 1000
    return port + step if port + step < 65_000 else port - step
