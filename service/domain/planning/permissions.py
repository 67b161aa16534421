"""Who may do what to a study, beyond what the scope of a key says."""

from __future__ import annotations

from ham.client.records import Study
from service.errors import Forbidden
from service.records import Principal, Scope


def require_owner(who: Principal, study: Study) -> None:
    """Let only its submitter and administrators act on a study. Raises Forbidden."""
    if study.submitter != who.key_id and not who.scope.allows(Scope.ADMIN):
        raise Forbidden(
            f"study {study.id} was submitted with the key {study.submitter}; only that key and "
            "`admin` keys may act on it"
        )


def require_priority(who: Principal, priority: int | None, highest: int) -> None:
    """Let only administrators push before what others submit. Raises Forbidden."""
    if priority is None or priority <= highest or who.scope.allows(Scope.ADMIN):
        return
    raise Forbidden(
        f"priority={priority} is not allowed; this key may ask for {highest} at most "
        "(HAMTUNE_MAX_PRIORITY), and an `admin` key for any"
    )
