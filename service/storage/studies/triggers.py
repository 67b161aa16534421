"""Triggers and a check constraint that refuse false state transitions in the database itself.

A trigger checks the studies, a constraint their events. Both are generated from
:data:`ham.client.records.lifecycle.TRANSITIONS`. A migration keeps the text of its own version.
"""

from __future__ import annotations

from sqlalchemy import DDL

from ham.client.records.lifecycle import TRANSITIONS

_ALLOWED = ", ".join(
    f"'{source}>{target}'" for source, targets in TRANSITIONS.items() for target in targets
)

EVENT_CHECK = (
    "kind <> 'state' OR (source IS NULL AND state = 'queued') "
    f"OR (source || '>' || state) IN ({_ALLOWED})"
)

_REFUSED = "a study cannot go that way"

SQLITE = (
    f"""CREATE TRIGGER study_begins_queued BEFORE INSERT ON study
WHEN NEW.state <> 'queued'
BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END""",
    f"""CREATE TRIGGER study_transition BEFORE UPDATE OF state ON study
WHEN NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({_ALLOWED})
BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END""",
)

POSTGRESQL = (
    f"""CREATE OR REPLACE FUNCTION refuse_study_transition() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{_REFUSED}'; END $$""",
    """CREATE TRIGGER study_begins_queued BEFORE INSERT ON study
FOR EACH ROW WHEN (NEW.state <> 'queued') EXECUTE FUNCTION refuse_study_transition()""",
    f"""CREATE TRIGGER study_transition BEFORE UPDATE OF state ON study
FOR EACH ROW WHEN (NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({_ALLOWED}))
EXECUTE FUNCTION refuse_study_transition()""",
)

CREATE = [
    DDL(text).execute_if(dialect=dialect)
    for dialect, texts in (("sqlite", SQLITE), ("postgresql", POSTGRESQL))
    for text in texts
]
