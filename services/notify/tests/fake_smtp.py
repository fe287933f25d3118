"""A fake mail server: enough of SMTP to take an e-mail, or to refuse it as it is told."""

import socketserver
import threading
from dataclasses import dataclass, field
from typing import Final, Self

GREETING: Final = b"220 fake\r\n"


@dataclass
class FakeSmtp:
    """What it took: recipients and messages. `answers` replaces the answer to a command, such as `RCPT` or `.`."""

    taken: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    _server: socketserver.ThreadingTCPServer | None = None

    def __enter__(self) -> Self:
        fake = self

        class Session(socketserver.StreamRequestHandler):
            """One connection."""

            def handle(self) -> None:
                self.wfile.write(GREETING)
                recipient = ""
                for line in iter(self.rfile.readline, b""):
                    words = line.decode().strip()
                    verb = words.partition(" ")[0].upper()
                    if verb == "RCPT":
                        recipient = words.partition("<")[2].partition(">")[0]
                    answer = fake.answers.get(verb, {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 fine"))
                    self.wfile.write(f"{answer}\r\n".encode())
                    if answer.startswith("354"):
                        self.wfile.write(f"{self._message(recipient)}\r\n".encode())

            def _message(self, recipient: str) -> str:
                text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                answer = fake.answers.get(".", "250 taken")
                if answer.startswith("250"):
                    fake.taken.append((recipient, text))
                return answer

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Session)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
