"""A local server with the interface of S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest


@contextmanager
def serve_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a server and point the environment to it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # file systems are cached by their arguments, which do not include the environment
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()


def make_bucket() -> str:
    """Make an empty bucket; return its address."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # with what an earlier test has listed
    bucket = f"music-{uuid4().hex[:8]}"  # all servers of a process have the same buckets
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}"
