"""Steps of the story: each with its time, and the sum at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from rich.markup import escape

from ops.console import out


class StepFailed(Exception):
    """What was seen is not what the story says."""


def expect(condition: object, message: str) -> None:
    """Raise StepFailed with the message unless the condition holds."""
    if not condition:
        raise StepFailed(message)


@dataclass
class Step:
    """One step: what it shows, how long it took, what was seen."""

    title: str
    passed: bool = False
    milliseconds: float = 0.0
    note: str = ""
    fault: str = ""


@dataclass
class Report:
    """The whole run. With `quiet` nothing is printed while it runs."""

    quiet: bool = False
    steps: list[Step] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time what happens inside; a StepFailed marks the step and goes on to end the story."""
        step = Step(title)
        self.steps.append(step)
        begun = monotonic()
        try:
            yield step
            step.passed = True
        except StepFailed as failure:
            step.fault = str(failure)
            raise
        finally:
            step.milliseconds = round((monotonic() - begun) * 1000, 1)
            self._print(step)

    @property
    def passed(self) -> int:
        """How many steps passed."""
        return sum(step.passed for step in self.steps)

    @property
    def failed(self) -> int:
        """How many steps failed."""
        return len(self.steps) - self.passed

    def document(self) -> dict[str, Any]:
        """The run for machines."""
        return {
            "passed": self.passed,
            "failed": self.failed,
            "figures": self.figures,
            "steps": [asdict(step) for step in self.steps],
        }

    def _print(self, step: Step) -> None:
        if self.quiet:
            return
        mark = "[green]✓[/]" if step.passed else "[red]✗[/]"
        out.print(f"{mark} {len(self.steps):2d} {escape(step.title)} [dim]{step.milliseconds:.0f} ms  {escape(step.note)}[/]")
        if step.fault:
            out.print(f"     [red]{escape(step.fault)}[/]")
