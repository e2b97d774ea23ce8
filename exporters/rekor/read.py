"""Files and JSON from a log's server. Every way in which there is no answer is a `CouldNotCheck`."""

from __future__ import annotations

import json
from typing import Any

from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck


def read_file(fetcher: Fetcher, url: str, max_bytes: int, *, fresh: bool = False) -> bytes | None:
    """The content, or None when the server says that it is not there; any other answer is none.

    With `fresh` no cache on the way may answer.
    """
    headers = {"Cache-Control": "no-cache"} if fresh else {}
    response = fetcher.get(url, headers=headers, max_bytes=max_bytes, redirects=False)
    if response.status == 200:
        return response.body
    if response.status in (404, 410):
        return None
    reason = "unauthorized" if response.status in (401, 403) else "bad_response"
    raise CouldNotCheck(reason, f"{url} answered {response.status}")


def json_object(data: bytes, place: str) -> dict[str, Any]:
    """A JSON object, however hostile the bytes are. Raises `CouldNotCheck("bad_response")`."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CouldNotCheck("bad_response", f"{place} is not a JSON object")
    return found
