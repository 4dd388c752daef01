"""Whether a file on a server describes itself: found out from its last bytes, before all of it is fetched.

An ``.onnx`` file ends with its metadata, because protocol buffers are written in the order of their fields.
"""

import contextlib
import http.client
import urllib.request
from typing import Final

from stemsplit.models.spec import PREFIX
from stemsplit.registry.download import DownloadLimits, open_url

_TAIL_BYTES: Final = 2**16
_KEY: Final = f"{PREFIX}format_version".encode()


def lacks_metadata(url: str, limits: DownloadLimits) -> bool:
    """Tell whether the file at `url` surely has no metadata of a stemsplit model.

    Where the server does not give the end of a file, or no answer, nothing is sure.
    """
    if limits.offline:
        return False
    headers = {
        "User-Agent": "stemsplit",
        "Accept-Encoding": "identity",
        "Range": f"bytes=-{_TAIL_BYTES}",
    }
    request = urllib.request.Request(url, headers=headers)
    # whatever is wrong here, the download itself will name it
    with (
        contextlib.suppress(OSError, http.client.HTTPException, ValueError),
        open_url(request, timeout_s=limits.timeout_s) as response,
    ):
        if getattr(response, "status", None) == http.client.PARTIAL_CONTENT:
            return _KEY not in response.read(_TAIL_BYTES)
    return False
