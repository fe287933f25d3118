"""A fake S3: moto's server, in this process. It keeps objects and conditions, and checks neither signatures nor rights."""

import logging
import socket
from contextlib import closing
from functools import cached_property
from typing import Any, Final, Self

import boto3
import httpx
from moto.server import ThreadedMotoServer

BUCKET: Final = "lumiere-files"
REGION: Final = "eu-west-3"
KEY: Final = "fake-key-of-the-tests"
SECRET: Final = "fake-secret-of-the-tests"  # pragma: allowlist secret
LOOPBACK: Final = "127.0.0.1"


class FakeS3:
    """One that can be stopped and started again on its port; what it keeps survives that."""

    def __init__(self) -> None:
        with closing(socket.create_server((LOOPBACK, 0))) as found:
            self.port: int = found.getsockname()[1]
        self._server: ThreadedMotoServer | None = None

    def __enter__(self) -> Self:
        self.start()
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Its base address."""
        return f"http://{LOOPBACK}:{self.port}"

    @cached_property
    def client(self) -> Any:
        """A client with all rights."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )

    def start(self) -> None:
        """Answer."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        if self._server is None:
            self._server = ThreadedMotoServer(LOOPBACK, self.port, verbose=False)
            self._server.start()

    def stop(self) -> None:
        """Answer no more; connections are refused."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def empty(self) -> None:
        """Remove every object."""
        for name in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=name)

    def names(self) -> list[str]:
        """Every object."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    def put(self, name: str, data: bytes) -> None:
        """Write as whoever holds a key."""
        self.client.put_object(Bucket=BUCKET, Key=name, Body=data)


def send(opened: dict[str, Any], data: bytes, **changes: str) -> httpx.Response:
    """What a client does with the address of an upload."""
    headers = {**opened["headers"], **changes}
    return httpx.request(opened["method"], opened["url"], content=data, headers=headers, trust_env=False)
