"""Who may act on a study, and with which priority, beyond the scope of the key."""

from __future__ import annotations

from ham.client.records import Study
from service.errors import Forbidden
from service.records import Principal, Scope


def require_owner(who: Principal, study: Study) -> None:
    """Raise Forbidden unless the principal submitted the study or is an administrator."""
    if study.submitter != who.key_id and not who.scope.allows(Scope.ADMIN):
        raise Forbidden(
            f"study {study.id} was submitted with the key {study.submitter}; only that key and "
            "`admin` keys may act on it"
        )


def require_priority(who: Principal, priority: int | None, highest: int) -> None:
    """Raise Forbidden for a priority above ``highest``, except for administrators."""
    if priority is None or priority <= highest or who.scope.allows(Scope.ADMIN):
        return
    raise Forbidden(
        f"priority={priority} is not allowed; this key may ask for {highest} at most "
        "(HAMTUNE_MAX_PRIORITY), and an `admin` key for any priority"
    )
