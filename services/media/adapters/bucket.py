"""Bytes in a private bucket that speaks S3. Clients send and fetch them there, by addresses that this service signs."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, BinaryIO, Final, Self, cast

from libs.common import clock, ids
from libs.common.companions import Companion
from libs.common.telemetry import logger
from services.media.domain.disposition import attachment
from services.media.domain.storage import (
    BUCKET_SCHEME,
    Address,
    ContentOverrun,
    ContentShort,
    FileFacts,
    Landing,
    ObjectMissing,
    StorageAway,
    StorageKey,
)

ARRIVALS, OBJECTS = "incoming", "objects"
CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 20
"""The longest silence of the bucket. A copy of 500 MB inside it takes a few seconds."""
ATTEMPTS: Final = 2
FIRST_REGION: Final = "us-east-1"
"""The one region that S3 does not want named when a bucket is made in it."""
RETRY_AFTER_SECONDS: Final = 10

_NAME = re.compile(rf"{BUCKET_SCHEME}((?:{ARRIVALS}/[0-9a-f-]{{36}})|(?:{OBJECTS}/[A-Za-z0-9_-]{{43}}))")
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """Where the bucket is and how it is entered."""

    bucket: str
    region: str
    endpoint: str | None
    """Base address inside the network; None is Amazon's own."""
    public_endpoint: str | None
    """Base address for clients."""
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Without keys."""
        return f"BucketAccess({self.bucket})"


class Bucket:
    """Files under `objects/<random>`, of which clients get addresses to read; `incoming/<media id>` is where they arrive.

    The address of an upload is signed over the name, the length and the type, and over `If-None-Match: *` (RFC 9110
    section 13.1.2), so the bucket takes one file at it. What has arrived is believed only after it was copied to a name that
    no address gives write access to, and inspected there.
    """

    def __init__(self, access: BucketAccess) -> None:
        self._bucket = access.bucket
        self._region = access.region
        self._inside = _client(access, access.endpoint)
        self._outside = _client(access, access.public_endpoint or access.endpoint)
        self.companion = Companion("storage", "files wait, everything else goes on", self.probe)

    def make(self) -> bool:
        """Make the bucket where there is none, private as every new one is; whether it was made. Raises StorageAway."""
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        with self._asked():
            try:
                self._inside.create_bucket(Bucket=self._bucket, **({} if self._region == FIRST_REGION else elsewhere))
            except self._inside.exceptions.BucketAlreadyOwnedByYou:
                return False
        return True

    def probe(self) -> None:
        """Pass when the bucket answers. Raises StorageAway."""
        with self._asked():
            self._inside.head_bucket(Bucket=self._bucket)

    def upload_address(self, file: FileFacts, expires_at: datetime) -> Address:
        """`PUT` to the bucket, good for one file. Raises StorageAway."""
        self._require()
        headers = {"Content-Type": file.media_type, "If-None-Match": "*"}
        signed = {"ContentType": file.media_type, "ContentLength": file.size, "IfNoneMatch": "*"}
        return Address("PUT", self._signed("put_object", _arrival(file), signed, expires_at), headers, expires_at)

    def download_address(self, key: StorageKey, file: FileFacts, expires_at: datetime) -> Address:
        """`GET` from the bucket: saved, never shown, under the type that was found in the bytes. Raises StorageAway."""
        self._require()
        shown = {
            "ResponseContentDisposition": attachment(file.filename),
            "ResponseContentType": file.media_type,
            "ResponseCacheControl": "private, no-store",
        }
        return Address("GET", self._signed("get_object", key, shown, expires_at), {}, expires_at)

    def landing(self, file: FileFacts) -> Landing:
        """From where clients write to where nobody does but this service."""
        return Landing(_arrival(file), StorageKey(f"{BUCKET_SCHEME}{OBJECTS}/{ids.random_token()}"))

    def collect(self, landing: Landing, file: FileFacts) -> None:
        """Copy what has arrived, inside the bucket. What has another length is removed, so that the address takes another.

        Raises ObjectMissing, ContentOverrun, ContentShort, StorageAway.
        """
        arrival = _object(landing.arrival)
        with self._asked():
            found = self._inside.head_object(Bucket=self._bucket, Key=arrival)
        if found["ContentLength"] != file.size:
            self.delete(landing.arrival)
            refusal = ContentOverrun if found["ContentLength"] > file.size else ContentShort
            raise refusal(
                f"The file has another length than the declared {file.size} bytes. Send it again to the same address."
            )
        with self._asked():
            self._inside.copy_object(
                Bucket=self._bucket,
                Key=_object(landing.key),
                CopySource={"Bucket": self._bucket, "Key": arrival},
                CopySourceIfMatch=found["ETag"],
                MetadataDirective="REPLACE",
                ContentType=file.media_type,
                ContentDisposition="attachment",
                # For whoever audits the bucket alone; the service never reads it.
                Metadata={"media-id": str(file.media_id), "owner-id": str(file.owner_id)},
            )

    def open(self, key: StorageKey) -> BinaryIO:
        """The bytes, to be read and closed by the caller; reading may raise StorageAway. Raises ObjectMissing, StorageAway."""
        with self._asked():
            body = self._inside.get_object(Bucket=self._bucket, Key=_object(key))["Body"]
        return cast(BinaryIO, _Content(body, self._asked))

    def delete(self, key: StorageKey) -> None:
        """Remove the bytes; removing what is not there is no error. Raises StorageAway."""
        with self._asked():
            self._inside.delete_object(Bucket=self._bucket, Key=_object(key))

    def idle_since(self, moment: datetime) -> Iterator[StorageKey]:
        """Every key whose bytes have not changed since then, of arrivals too. Raises StorageAway."""
        with self._asked():
            pages = self._inside.get_paginator("list_objects_v2")
            listed = [pages.paginate(Bucket=self._bucket, Prefix=f"{folder}/") for folder in (ARRIVALS, OBJECTS)]
            for found in (each for page in chain(*listed) for each in page.get("Contents", ())):
                key = StorageKey(BUCKET_SCHEME + found["Key"])
                if found["LastModified"] < moment and _NAME.fullmatch(key):
                    yield key

    def _require(self) -> None:
        """An address of a bucket that is known to be away would only send its bearer against a wall. Raises StorageAway."""
        if self.companion.away:
            self.companion.check()  # asks after it, without waiting
            raise _away()

    def _signed(self, operation: str, key: StorageKey, parameters: dict[str, Any], expires_at: datetime) -> str:
        seconds = max(1, int((expires_at - clock.now()).total_seconds()))
        named = {"Bucket": self._bucket, "Key": _object(key), **parameters}
        return str(self._outside.generate_presigned_url(operation, Params=named, ExpiresIn=seconds))

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Translate what the library raises. Raises ObjectMissing, StorageAway."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _ABSENT and error.operation_name != "HeadBucket":
                self.companion.found()
                raise ObjectMissing("The file is no longer in storage.") from None
            raise self._lost(code or "ClientError") from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise self._lost(type(error).__name__) from error
        self.companion.found()

    def _lost(self, reason: str) -> StorageAway:
        self.companion.lost(reason)
        log.warning("storage.refused", reason=reason)
        return _away()


class _Content:
    """An object while it is read; a line that breaks in the middle says so, rather than looking like the end."""

    def __init__(self, body: Any, asked: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._asked = asked

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end. Raises StorageAway."""
        with self._asked():
            return bytes(self._body.read(size))

    def close(self) -> None:
        """Let go of the line."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _arrival(file: FileFacts) -> StorageKey:
    return StorageKey(f"{BUCKET_SCHEME}{ARRIVALS}/{file.media_id}")


def _object(key: StorageKey) -> str:
    found = _NAME.fullmatch(key)
    if found is None:
        raise ValueError("not a key of the bucket")
    return found[1]


def _away() -> StorageAway:
    return StorageAway(
        "The storage of files does not answer now. Nothing is lost: send the same request again in a moment.",
        retry_after=RETRY_AFTER_SECONDS,
    )


def _client(access: BucketAccess, endpoint: str | None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # A server of one's own has no name for each bucket; Amazon's has.
        s3={"addressing_style": "path" if endpoint else "virtual"},
        # Checksums beyond the protocol's own are not known to every server that speaks it.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
    )
    return boto3.client(
        "s3",
        region_name=access.region,
        endpoint_url=endpoint,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=config,
    )
