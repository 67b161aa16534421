"""The logs that schedulers of this machine keep of their studies."""

from __future__ import annotations

from pathlib import Path

from service.errors import NotFound


def tail(data_dir: Path, study_id: str, most_bytes: int) -> str:
    """Return the end of a study's log, from the beginning of a line.

    Args:
        data_dir: folder of the service's data.
        study_id: id of a study that is there; it names the file.
        most_bytes: the answer is no longer.

    Raises:
        NotFound: no scheduler that shares this folder has worked on the study.
    """
    path = data_dir / "logs" / f"{study_id}.log"
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - most_bytes))
            content = log.read(most_bytes)
    except FileNotFoundError:
        raise NotFound(
            f"there is no log of study {study_id!r} here: no scheduler that shares this "
            "service's data folder has worked on it"
        ) from None
    if size > most_bytes:
        content = content[content.find(b"\n") + 1 :]
    return content.decode(errors="replace")
