"""What a browser is told to do with a file: save it under its name, never show it."""

from urllib.parse import quote


def attachment(filename: str) -> str:
    """A Content-Disposition with the name in UTF-8 and, for old clients, what of it is ASCII (RFC 6266 appendix D)."""
    ascii_name = filename.encode("ascii", "replace").decode().replace("?", "_")
    escaped = ascii_name.replace("\\", "\\\\").replace('"', '\\"')
    extended = f"; filename*=UTF-8''{quote(filename, safe='')}" if ascii_name != filename else ""
    return f'attachment; filename="{escaped}"{extended}'
