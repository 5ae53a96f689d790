"""Uploads a disk to S3 in parts, and goes on with what an earlier run has left there.

S3 itself is the memory: parts that are there and have the MD5 of the file's own are not sent again.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from muster.context import Context
from muster.errors import ClientError
from muster.image.aws import Answer, Aws, RefusedByAwsError
from muster.image.meter import Meter

PREFIX = "muster-image/"
SMALLEST_PART = 16 * 1024**2  # bytes
PARTS = 10_000  # S3's limit (user guide, "Multipart upload limits")
LARGEST_OBJECT = 5 * 1024**4  # bytes
AT_ONCE = 4
_ABSENT = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Target:
    """Where an upload goes: bucket, key, and the account that must own the bucket."""

    bucket: str
    key: str
    owner: str

    def params(self) -> dict[str, str]:
        """Return what every call about the object names."""
        return {"Bucket": self.bucket, "Key": self.key, "ExpectedBucketOwner": self.owner}


def there(aws: Aws, target: Target, source: str) -> bool:
    """Tell whether the whole upload of this source is there."""
    try:
        answer = aws.call("s3", "head_object", **target.params())
    except RefusedByAwsError as refused:
        if refused.code in _ABSENT:
            return False
        raise
    return bool(answer.get("Metadata", {}).get("muster-source") == source)


def upload(aws: Aws, target: Target, path: Path, source: str, context: Context) -> None:
    """Make the object be the file.

    Args:
        aws: the account.
        target: where to.
        path: the file.
        source: digest of the disk that it was made from, kept as the object's metadata.
        context: where progress is shown.

    Raises:
        ClientError: the file is too large for one object, or AWS refused.
    """
    size = path.stat().st_size
    if size > LARGEST_OBJECT:
        raise ClientError(
            f"{path} is too large for S3",
            why=f"an object has at most {LARGEST_OBJECT // 1024**4} TiB",
            cure=f"qemu-img convert -O qcow2 {path} disk.qcow2, and import that: it is compressed",
        )
    upload_id = _begun(aws, target) or _begin(aws, target, source)
    known = _parts(aws, target, upload_id)
    sent = _Sending(aws, target, upload_id, path, Meter(context, "uploading", size))
    sent.all(size, known)
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in sorted(sent.etags.items())]
    aws.call(
        "s3",
        "complete_multipart_upload",
        **target.params(),
        UploadId=upload_id,
        MultipartUpload={"Parts": parts},
    )


def pending(aws: Aws, bucket: str, prefix: str, owner: str) -> list[Answer]:
    """Return the unfinished uploads below a prefix, oldest first."""
    found = aws.each(
        "s3",
        "list_multipart_uploads",
        "Uploads",
        Bucket=bucket,
        Prefix=prefix,
        ExpectedBucketOwner=owner,
    )
    return sorted(found, key=lambda one: str(one.get("Initiated", "")))


def part_size(size: int) -> int:
    """Return the bytes of a part: the same for every run about the same file."""
    return max(SMALLEST_PART, -(-size // PARTS))


def _begun(aws: Aws, target: Target) -> str:
    found = pending(aws, target.bucket, target.key, target.owner)
    same = [one["UploadId"] for one in found if one["Key"] == target.key]
    return str(same[-1]) if same else ""


def _begin(aws: Aws, target: Target, source: str) -> str:
    answer = aws.call(
        "s3", "create_multipart_upload", **target.params(), Metadata={"muster-source": source}
    )
    return str(answer["UploadId"])


def _parts(aws: Aws, target: Target, upload_id: str) -> dict[int, str]:
    """Return the ETag of each part that is there."""
    listed = aws.each("s3", "list_parts", "Parts", **target.params(), UploadId=upload_id)
    return {part["PartNumber"]: str(part["ETag"]) for part in listed}


class _Sending:
    """The parts of one upload on their way."""

    def __init__(self, aws: Aws, target: Target, upload_id: str, path: Path, meter: Meter) -> None:
        self._call: Callable[..., Answer] = aws.call
        self._params = {**target.params(), "UploadId": upload_id}
        self._path = path
        self._meter = meter
        self._lock = Lock()
        self._done = 0
        self.etags: dict[int, str] = {}

    def all(self, size: int, known: dict[int, str]) -> None:
        """Send every part that is not known; the first refusal ends it."""
        step = part_size(size)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting = [
                pool.submit(self._one, number, offset, step, known.get(number, ""))
                for number, offset in enumerate(range(0, size, step), 1)
            ]
            try:
                for part in as_completed(waiting):
                    part.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, number: int, offset: int, step: int, known: str) -> None:
        with self._path.open("rb") as file:
            file.seek(offset)
            content = file.read(step)
        md5 = hashlib.md5(content, usedforsecurity=False)  # what S3 keeps of a part
        etag = known
        if known.strip('"') != md5.hexdigest():
            answer = self._call(
                "s3",
                "upload_part",
                **self._params,
                PartNumber=number,
                Body=content,
                ContentMD5=b64encode(md5.digest()).decode("ascii"),
            )
            etag = str(answer["ETag"])
        with self._lock:
            self.etags[number] = etag
            self._done += len(content)
            self._meter.to(self._done)
