"""Known vulnerabilities of everything that a lock names, by pip-audit and npm audit.

pip-audit says "No known vulnerabilities found" and ends well also when it could ask nobody about a single package; only what
it names as asked about counts here.
"""

import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from libs.common import clock
from ops.audit.outcome import Outcome, failed, not_checked, passed
from ops.checks.files import tracked
from ops.checks.locks import pins
from ops.locked import last_line

NAME = "advisories"
SERVICES: Final = ("pypi", "osv")
"""Databases of advisories in the order in which they are asked: the next one only about what the former did not know."""
ANSWER_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 600
ACCEPTED = Path("requirements/accepted-advisories.toml")

Pin = tuple[str, str]


@dataclass
class Answers:
    """What was found, and what could not be asked, each with the reason."""

    found: list[str] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)
    asked: int = 0


def audit(root: Path, programs: Path) -> Outcome:
    """Ask about every pinned version of every lock, Python's and npm's."""
    accepted = accepted_now(root)
    answers = Answers()
    locks = [path for path in tracked(root) if path.suffix == ".lock" and path.parts[0] == "requirements"]
    holders = _holders(root, locks)
    for round_ in _rounds(holders):
        _ask_python(round_, programs, accepted, answers, holders)
    packages = [path for path in tracked(root) if path.name == "package-lock.json"]
    for path in packages:
        _ask_npm(root / path, accepted, answers, str(path))
    return _outcome(answers, len(locks) + len(packages))


def _outcome(answers: Answers, locks: int) -> Outcome:
    unasked = [f"{name}: {why}" for name, why in sorted(answers.unasked.items())]
    if answers.found:
        return failed(NAME, [*answers.found, *unasked])
    if unasked:
        reasons = sorted(set(answers.unasked.values()))
        return not_checked(
            NAME, f"{len(unasked)} of {len(unasked) + answers.asked} not asked about: {'; '.join(reasons)}", unasked
        )
    return passed(NAME, f"{answers.asked} versions of {locks} locks, none with a known vulnerability")


def accepted_now(root: Path, today: date | None = None) -> frozenset[str]:
    """Advisories that somebody accepted for a reason and until a day that has not passed."""
    path = root / ACCEPTED
    if not path.exists():
        return frozenset()
    day = today or clock.now().date()
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("advisory", [])
    return frozenset(entry["id"] for entry in entries if entry["until"] >= day and entry["because"])


def _holders(root: Path, locks: Iterable[Path]) -> dict[Pin, list[str]]:
    holders: dict[Pin, list[str]] = {}
    for lock in locks:
        for pin in pins(root / lock).items():
            holders.setdefault(pin, []).append(lock.name)
    return holders


def _rounds(wanted: Iterable[Pin]) -> Iterator[dict[str, str]]:
    """Every pin in as few rounds as possible; a round has one version of a name."""
    left = sorted(wanted)
    while left:
        round_ = dict(reversed(left))
        yield round_
        left = [pin for pin in left if pin not in round_.items()]


def _ask_python(
    wanted: Mapping[str, str], programs: Path, accepted: frozenset[str], answers: Answers, holders: Mapping[Pin, Sequence[str]]
) -> None:
    left = dict(wanted)
    reasons: dict[str, list[str]] = {name: [] for name in wanted}
    for service in SERVICES:
        if not left:
            break
        answer = _pip_audit(left, programs, service)
        if isinstance(answer, str):
            for name in left:
                reasons[name].append(answer)
            continue
        known = [each for each in answer if "skip_reason" not in each and left.get(each["name"]) == each["version"]]
        for each in known:
            del left[each["name"]]
            answers.asked += 1
            answers.found += _vulnerabilities(each, accepted, holders[each["name"], each["version"]])
        for name in left:
            reasons[name].append(f"{service} does not know it")
    answers.unasked |= {f"{name} {version}": ", ".join(reasons[name]) for name, version in left.items()}


def _vulnerabilities(package: Mapping[str, Any], accepted: frozenset[str], locks: Sequence[str]) -> Iterator[str]:
    for each in package["vulns"]:
        names = {each["id"], *each.get("aliases", ())}
        if not names & accepted:
            cure = f"mended in {', '.join(each['fix_versions'])}" if each["fix_versions"] else "no version mends it yet"
            yield f"{package['name']} {package['version']} ({', '.join(locks)}): {', '.join(sorted(names))}; {cure}"


def _pip_audit(wanted: Mapping[str, str], programs: Path, service: str) -> list[dict[str, Any]] | str:
    """What the service answered about each package, or why it could not be asked."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write("".join(f"{name}=={version}\n" for name, version in wanted.items()))
        requirements.flush()
        options = [
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
            "--timeout",
            str(ANSWER_SECONDS),
        ]
        command = [
            str(programs / "pip-audit"),
            *options,
            "--vulnerability-service",
            service,
            "--requirement",
            requirements.name,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{service} could not be asked: {type(error).__name__}"
    try:
        answered: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return f"{service} could not be asked: {_reason(done.stderr)}"
    return answered


def _reason(text: str) -> str:
    """The kind of failure that a program ended with, without addresses."""
    return last_line(text).partition(":")[0].rpartition(".")[2][:80]


def _ask_npm(lock: Path, accepted: frozenset[str], answers: Answers, name: str) -> None:
    if shutil.which("npm") is None:
        answers.unasked[name] = "npm is not installed"
        return
    command = ["npm", "audit", "--package-lock-only", "--json"]
    try:
        done = subprocess.run(command, cwd=lock.parent, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        answer = json.loads(done.stdout)
        vulnerable, counted = answer["vulnerabilities"], answer["metadata"]["dependencies"]["total"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        answers.unasked[name] = "npm's advisories could not be asked"
        return
    answers.asked += counted
    for package, each in sorted(vulnerable.items()):
        ways = [way for way in each["via"] if isinstance(way, dict) and str(way["url"]).rpartition("/")[2] not in accepted]
        answers.found += [f"{package} ({name}): {way['url'].rpartition('/')[2]} {way['title']}" for way in ways]
