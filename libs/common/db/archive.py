"""The event archive in weeks: what is due is made ahead, what is over its retention goes as a whole.

The running service may neither make nor drop tables, so a function of the schema's owner does both. It takes the time from the
database, and keeps RETENTION_DAYS_MIN whatever it is told: who holds the runtime role's password cannot make the past go away.
"""

from typing import Final

from sqlalchemy import Connection, Table, text
from sqlalchemy.schema import CreateIndex, CreateTable

from libs.common.config import RETENTION_DAYS_MAX, RETENTION_DAYS_MIN

WEEKS_AHEAD: Final = 8
OTHER_BATCH: Final = 20_000
"""Rows outside all weeks that one run deletes: an event of a wrong clock keeps its whole week there, maybe millions."""

_FUNCTIONS: Final = """
CREATE OR REPLACE FUNCTION "{schema}".add_archive_week(first timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    week text := 'event_archive_' || to_char(first, 'IYYY_IW');
BEGIN
    IF to_regclass(format('%I.%I', '{schema}', week)) IS NOT NULL OR EXISTS (
        SELECT FROM "{schema}".event_archive_other WHERE recorded_at >= first AND recorded_at < first + interval '7 days'
    ) THEN
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('CREATE TABLE %I.%I PARTITION OF "{schema}".event_archive FOR VALUES FROM (%L) TO (%L)',
            '{schema}', week, first, first + interval '7 days');
    EXCEPTION WHEN invalid_object_definition THEN
        RETURN;  -- the table of an older release holds this week too
    END;
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".refuse_change()', '{schema}', week);
END $$;

CREATE OR REPLACE FUNCTION "{schema}".keep_event_archive(retention_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    cutoff timestamptz := now() - make_interval(days => greatest(retention_days, {minimum}));
    old record;
    dropped integer := 0;
BEGIN
    FOR ahead IN 0..{ahead} LOOP
        PERFORM "{schema}".add_archive_week(date_trunc('week', now()) + make_interval(weeks => ahead));
    END LOOP;
    FOR old IN
        SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)')::timestamptz AS ends_at
        FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = '"{schema}".event_archive'::regclass ORDER BY c.relname
    LOOP
        IF old.ends_at <= cutoff THEN
            EXECUTE format('DROP TABLE %I.%I', '{schema}', old.relname);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM "{schema}".event_archive_other WHERE recorded_at < cutoff) THEN
        ALTER TABLE "{schema}".event_archive_other DISABLE TRIGGER append_only;
        DELETE FROM "{schema}".event_archive_other WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM "{schema}".event_archive_other WHERE recorded_at < cutoff LIMIT {batch}));
        ALTER TABLE "{schema}".event_archive_other ENABLE TRIGGER append_only;
    END IF;
    RETURN dropped;
END $$;
"""
# What no week was made for lands there: an event may wait in the outbox for longer than weeks are made ahead or kept.
_OTHER: Final = """
CREATE TABLE IF NOT EXISTS "{schema}".event_archive_other PARTITION OF "{schema}".event_archive DEFAULT
"""
_OTHER_GUARD: Final = """
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{schema}".event_archive_other
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".refuse_change()
"""
_KIND: Final = text("SELECT relkind FROM pg_class WHERE oid = to_regclass(:table)")
_PLAIN: Final = "r"
_INDEXES: Final = text("SELECT indexname FROM pg_indexes WHERE schemaname = :schema AND tablename = :table")
# Takes the table of an older release in as its first partition, without copying a row.
_ADOPT: Final = """
ALTER TABLE "{schema}".event_archive ATTACH PARTITION "{schema}".event_archive_before FOR VALUES FROM (MINVALUE) TO ('{until}')
"""
_THIS_WEEK_ENDS: Final = text("SELECT (date_trunc('week', now() AT TIME ZONE 'UTC') + interval '7 days') AT TIME ZONE 'UTC'")


def set_up_archive(connection: Connection, archive: Table) -> None:
    """Make the archive's functions and the weeks that are due, as the schema's owner. Safe to repeat."""
    schema = str(archive.schema)
    if connection.scalar(_KIND, {"table": f"{schema}.event_archive"}) == _PLAIN:
        _partition(connection, archive)
    values = {"schema": schema, "minimum": RETENTION_DAYS_MIN, "ahead": WEEKS_AHEAD, "batch": OTHER_BATCH}
    for statement in (_OTHER, _OTHER_GUARD, _FUNCTIONS):
        connection.exec_driver_sql(statement.format(**values).replace("%", "%%"))
    connection.execute(text(f'SELECT "{schema}".keep_event_archive(:days)'), {"days": RETENTION_DAYS_MAX})


def _partition(connection: Connection, archive: Table) -> None:
    """Turn the one table of an older release into the first partition, up to the end of this week."""
    schema = str(archive.schema)
    for name in list(connection.scalars(_INDEXES, {"schema": schema, "table": "event_archive"})):
        connection.exec_driver_sql(f'ALTER INDEX "{schema}"."{name}" RENAME TO "{name}_before"')
    connection.exec_driver_sql(f'ALTER TABLE "{schema}".event_archive RENAME TO event_archive_before')
    connection.execute(CreateTable(archive))
    for index in archive.indexes:
        connection.execute(CreateIndex(index))
    until = connection.scalar(_THIS_WEEK_ENDS)
    connection.exec_driver_sql(_ADOPT.format(schema=schema, until=until.isoformat()))
