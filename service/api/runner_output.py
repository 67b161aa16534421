"""The raw output of the runners of studies, as files in the data folder."""

from __future__ import annotations

from pathlib import Path

from service.errors import NotFound


def tail(data_dir: Path, study_id: str, max_bytes: int) -> str:
    """Return the end of the output of a study's runners, from the beginning of a line.

    Args:
        data_dir: folder of the service's data.
        study_id: id of an existing study; the file is named after it.
        max_bytes: length of the answer, at most.

    Raises:
        NotFound: no scheduler with this data folder has run the study.
    """
    path = data_dir / "logs" / f"{study_id}.log"
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - max_bytes))
            content = log.read(max_bytes)
    except FileNotFoundError:
        raise NotFound(
            f"there is no output of study {study_id!r} here: no scheduler that shares the data "
            "folder of this service has run it"
        ) from None
    if size > max_bytes:
        content = content[content.find(b"\n") + 1 :]
    return content.decode(errors="replace")
