"""A file of sealed secrets that may be committed: a value a line, each sealed by itself, so that diffs show which ones changed.

Every value is sealed together with its name and its environment: moved under another name, or into the file of another
environment, it is refused. What age cannot tell is who sealed a value, since its recipients are public: that is what the review
of a commit is for.
"""

import hashlib
import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from libs.common.config import PLACEHOLDER
from ops.age import Damaged, opened_value, recipients_of, sealed_value
from ops.errors import OperationError
from ops.secrets import register
from ops.settings import ROOT

FOLDER: Final = ROOT / "deploy" / "sealed"
ENVIRONMENT: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
VALUE_BYTES_MAX: Final = 65_536
FINGERPRINT_SALT: Final = b"lumiere register of secrets"
HEAD: Final = "Secrets of {environment}, each sealed by itself (docs/secrets.md). Change them with `lumiere secrets edit`."


class SealedFile:
    """The sealed secrets of one environment."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises OperationError when it is none."""
        self.path = path
        self._yaml = YAML()
        self._yaml.width = VALUE_BYTES_MAX * 2
        try:
            self._content: CommentedMap = self._yaml.load(path.read_text(encoding="utf-8"))
            self.environment = str(self._content["environment"])
            self._secrets: CommentedMap = self._content["secrets"]
        except OSError as error:
            raise OperationError(f"{path} cannot be read: {error.strerror}. `lumiere secrets seal` makes it.") from None
        except (YAMLError, KeyError, TypeError):
            raise OperationError(f"{path} is no file of sealed secrets.") from None
        if self.environment != path.stem:
            raise Damaged(
                f"{path.name} holds the secrets of {self.environment}: somebody put one environment's file in the place of "
                "another's. Look at its history before you trust anything in it."
            )

    @classmethod
    def create(cls, path: Path, environment: str, recipients: Sequence[str]) -> "SealedFile":
        """A new file without a secret, for these age public keys. Raises OperationError."""
        if not ENVIRONMENT.fullmatch(environment):
            raise OperationError("An environment is named with lower-case letters, digits and dashes, such as production.")
        recipients_of("\n".join(recipients))
        content = CommentedMap(
            environment=environment,
            recipients=list(dict.fromkeys(recipients)),
            sealed_for=_digest(recipients),
            secrets=CommentedMap(),
        )
        content.yaml_set_start_comment(HEAD.format(environment=environment))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
        return cls(path)

    @property
    def names(self) -> list[str]:
        """The secrets that it holds."""
        return [str(name) for name in self._secrets]

    @property
    def recipients(self) -> list[str]:
        """The age public keys that values are sealed for."""
        return [str(each) for each in self._content["recipients"]]

    @property
    def current(self) -> bool:
        """Whether what is sealed is sealed for exactly the recipients that are named."""
        return bool(self._content.get("sealed_for") == _digest(self.recipients))

    def seal(self, values: Mapping[str, str], now: datetime) -> list[str]:
        """Seal new values, and note in the register when they were set; returns their names. Raises OperationError."""
        for name, value in values.items():
            require_value(name, value)
        recipients = recipients_of("\n".join(self.recipients))
        for name, value in values.items():
            self._secrets[name] = self._sealed(name, value, recipients)
        self._save()
        register.note(self.path, values, now, {name: fingerprint(value) for name, value in values.items()})
        return list(values)

    def unseal(self, identities: Sequence[Any], names: Iterable[str] | None = None) -> dict[str, str]:
        """The values by name. Raises WrongKey, Damaged; also when a value was sealed under another name or environment."""
        return {name: self._opened(name, identities) for name in (self.names if names is None else names)}

    def remove(self, names: Iterable[str]) -> None:
        """Take secrets out."""
        gone = [name for name in names if name in self._secrets]
        for name in gone:
            del self._secrets[name]
        self._save()
        register.forget(self.path, gone)

    def rekey(self, identities: Sequence[Any], recipients: Sequence[str]) -> None:
        """Seal everything anew, for these recipients. Raises OperationError."""
        values = self.unseal(identities)
        keys = recipients_of("\n".join(recipients))
        self._content["recipients"] = list(dict.fromkeys(recipients))
        self._content["sealed_for"] = _digest(recipients)
        for name, value in values.items():
            self._secrets[name] = self._sealed(name, value, keys)
        self._save()

    def _sealed(self, name: str, value: str, recipients: Sequence[Any]) -> str:
        envelope = json.dumps({"environment": self.environment, "name": name, "value": value}).encode()
        return b64encode(sealed_value(envelope, recipients)).decode()

    def _opened(self, name: str, identities: Sequence[Any]) -> str:
        if name not in self._secrets:
            raise OperationError(f"{self.path.name} holds no {name}. It holds {', '.join(self.names) or 'nothing'}.")
        try:
            envelope = json.loads(opened_value(b64decode(str(self._secrets[name]), validate=True), identities))
            sealed_as, value = (envelope["environment"], envelope["name"]), str(envelope["value"])
        except (ValueError, KeyError, TypeError):
            raise Damaged(f"{name} in {self.path.name} is damaged: take it from an earlier version of the file.") from None
        if sealed_as != (self.environment, name):
            raise Damaged(
                f"{name} of {self.environment} was sealed as {sealed_as[1]} of {sealed_as[0]}: somebody moved it. "
                "Look at the history of the file before you trust anything in it."
            )
        # Anybody can seal something for public keys: no name may lead out of the folder it is opened into.
        require_value(name, value)
        return value

    def _save(self) -> None:
        _write(self.path, self._content)


def sealed_path(environment: str, folder: Path = FOLDER) -> Path:
    """Where the sealed secrets of an environment stand."""
    return folder / f"{environment}.yaml"


def require_value(name: str, value: str) -> None:
    """Raises OperationError, which never shows the value, for what cannot be a secret."""
    if not NAME.fullmatch(name):
        raise OperationError(
            f"{name!r} is no name of a secret: capital letters, digits and underscores, as in the environment."
        )
    if not value.strip():
        raise OperationError(f"{name} is empty.")
    if len(value.encode()) > VALUE_BYTES_MAX:
        raise OperationError(f"{name} has more than {VALUE_BYTES_MAX} bytes.")
    if PLACEHOLDER.search(value) and not PLACEHOLDER.sub("", value).strip(" -_"):
        raise OperationError(f"{name} is a placeholder; generate a random value.")


def fingerprint(value: str) -> str:
    """Sixteen hexadecimal digits by which equal values are found without opening them. Slow on purpose: a short value that
    somebody chose is not to be guessed quickly by whoever reads the register.
    """
    return hashlib.scrypt(value.encode(), salt=FINGERPRINT_SALT, n=1 << 14, r=8, p=1, dklen=8).hex()


def _digest(recipients: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(recipients))).encode()).hexdigest()[:16]


def _write(path: Path, content: CommentedMap) -> None:
    """The file appears whole or not at all."""
    yaml = YAML()
    yaml.width = VALUE_BYTES_MAX * 2
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)
    draft.replace(path)
