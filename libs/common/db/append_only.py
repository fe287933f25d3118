"""Tables whose rows are never changed: refused by a trigger, so that even the role that owns them cannot."""

from sqlalchemy import Connection, MetaData, text

REFUSE_CHANGE = """
CREATE FUNCTION "{schema}".refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Add a row that corrects what an earlier one says.';
END $$
"""
_TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "{schema}"."{table}"
FOR EACH STATEMENT EXECUTE FUNCTION "{schema}".refuse_change()
"""
_GUARDED = text(
    "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE tgname = 'append_only' AND nspname = :schema"
)


def guard_append_only(connection: Connection, service: str, metadata: MetaData) -> None:
    """Give every table that says `info=APPEND_ONLY` its trigger, unless it has it."""
    guarded = set(connection.scalars(_GUARDED, {"schema": service}))
    for table in metadata.sorted_tables:
        if table.info.get("append_only") and table.name not in guarded:
            connection.exec_driver_sql(_TRIGGER.format(schema=service, table=table.name))
