"""Encryption with age (https://age-encryption.org/v1): keys, small values, and streams of any size."""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import pyrage

from ops.errors import OperationError

CHUNK: Final = 1 << 20
"""Bytes that travel through the pipes at a time."""


class WrongKey(OperationError):
    """None of the given identities opens the file."""


class Damaged(OperationError):
    """The file is not whole, or was changed: its authentication does not hold."""


def recipients_of(text: str) -> list[Any]:
    """Recipients as `age -R` reads them: one a line, `#` begins a comment. Raises OperationError."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines:
        raise OperationError("No recipient is named: give at least one age public key, age1…")
    return [_recipient(line) for line in lines]


def _recipient(line: str) -> Any:
    kind = pyrage.ssh.Recipient if line.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(line)
    except (pyrage.RecipientError, ValueError) as error:
        raise OperationError(f"{line[:16]}… is no age public key ({error}). It has the form age1… or ssh-ed25519 …") from None


def identities_of(path: Path) -> list[Any]:
    """The private keys in a file, as `age -i` reads them. Raises OperationError, which never shows them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OperationError(f"The identity {path} cannot be read: {error.strerror}.") from None
    try:
        if content.startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode("ascii").splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, ValueError):
        raise OperationError(f"{path} holds something that is no age private key (AGE-SECRET-KEY-1…).") from None
    if not found:
        raise OperationError(f"{path} holds no age private key (AGE-SECRET-KEY-1…).")
    return found


def new_identity() -> tuple[str, str]:
    """A fresh private key and its recipient."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def write_identity(file: Path) -> str:
    """A fresh private key in a new file that only this user may read; returns its recipient. Raises OperationError."""
    private, public = new_identity()
    try:
        # Never what somebody else put there meanwhile, nor where a link leads.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise OperationError(f"{file} cannot be made: {error.strerror}. A key that exists is never overwritten.") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"# public key: {public}\n{private}\n")
    return public


def sealed_value(content: bytes, recipients: Sequence[Any]) -> bytes:
    """A small value, encrypted for these recipients; another text every time."""
    return bytes(pyrage.encrypt(content, list(recipients)))


def opened_value(sealed: bytes, identities: Sequence[Any]) -> bytes:
    """What `sealed_value` sealed. Raises WrongKey, Damaged."""
    try:
        return bytes(pyrage.decrypt(sealed, list(identities)))
    except pyrage.DecryptError as error:
        raise _told(error) from None


class _Counted:
    """A file that is written from front to back, and what is to be known of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        """Of everything written."""
        return self._digest.hexdigest()


class Written:
    """What an encrypted file came to: set when it stands."""

    bytes = 0
    sha256 = ""


@contextmanager
def encrypted(path: Path, recipients: Sequence[Any]) -> Iterator[tuple[IO[bytes], Written]]:
    """A stream whose content is encrypted into `path`. The file appears whole, on disk, or not at all.

    Raises OperationError when it cannot be written.
    """
    draft = path.with_name(f".{path.name}.partial")
    written = Written()
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            counted = _Counted(file)
            with _piped(lambda source, _: pyrage.encrypt_io(source, counted, list(recipients)), writing=True) as stream:
                yield stream, written
            file.flush()
            os.fsync(file.fileno())
        written.bytes, written.sha256 = counted.bytes, counted.sha256
        draft.replace(path)
    except OSError as error:
        raise _told(error) from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def decrypted(path: Path, identities: Sequence[Any]) -> Iterator[IO[bytes]]:
    """The content of an encrypted file as a stream. Raises WrongKey, Damaged; what was read before that is not to be trusted
    as the whole, so nothing must be believed until this context has ended well.
    """
    with (
        path.open("rb") as file,
        _piped(lambda _, sink: pyrage.decrypt_io(file, sink, list(identities)), writing=False) as stream,
    ):
        yield stream


@contextmanager
def _piped(work: Any, *, writing: bool) -> Iterator[IO[bytes]]:
    """Our end of a pipe whose other end a thread works on; its failure is what the caller hears, whatever it led to."""
    read_end, write_end = os.pipe()
    source, sink = os.fdopen(read_end, "rb", buffering=CHUNK), os.fdopen(write_end, "wb", buffering=CHUNK)
    ours, theirs = (sink, source) if writing else (source, sink)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(source, sink)
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            failures.append(error)
        finally:
            with suppress(OSError):
                theirs.close()

    thread = threading.Thread(target=run, name="age", daemon=True)
    thread.start()
    try:
        yield ours
        if not writing:
            _drain(ours)
    except BaseException:
        # When the other end failed, ours failed because of it: its failure was noted before its end of the pipe closed.
        first = failures[:1]
        _close(ours)
        thread.join()
        if first:
            raise _told(first[0]) from None
        raise
    _close(ours)
    thread.join()
    if failures:
        raise _told(failures[0]) from None


def _drain(stream: IO[bytes]) -> None:
    """Read to the end: only there is known whether the file was whole."""
    while stream.read(CHUNK):
        pass


def _close(stream: IO[bytes]) -> None:
    with suppress(OSError):
        stream.close()


def _told(error: BaseException) -> BaseException:
    """The library tells all failures of a file in a few words; ours say what to do."""
    text = str(error)
    if isinstance(error, pyrage.DecryptError) and "No matching keys" in text:
        return WrongKey("This identity does not open it: it was encrypted for other keys. Give the right one with --identity.")
    if isinstance(error, pyrage.DecryptError) or (isinstance(error, OSError) and "decryption error" in text):
        return Damaged("It is damaged: it was cut short or changed after it was made. Take another copy.")
    if isinstance(error, pyrage.EncryptError | OSError):
        return OperationError(f"It could not be written: {text}.")
    return error
