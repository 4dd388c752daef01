"""A client of a running ``stemsplit serve``, for other programs; the standard library is all it needs.

Examples
--------
>>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
...     song = client.separate("song.mp3", stems=["vocals"], residual=True)
...     song.save("vocals", "vocals.wav")
"""

from stemsplit.client.client import Client
from stemsplit.client.connection import ServiceError
from stemsplit.client.song import Song

__all__ = ["Client", "ServiceError", "Song"]
