/**
 * The tables of a destination in PostgreSQL. Rows are only ever inserted and selected: an ordinary role needs no other
 * right, and where a source stands is the end of its last chunk.
 */

/** Names that need no quoting. */
export const namePattern = /^[a-z_][a-z0-9_]{0,40}$/

/** How many months have a partition of their own: this one, and those to come. */
const monthsAhead = 3

/**
 * Creates what is missing. Each chunk begins where another one ends, and no two begin at the same place: so the chunks of
 * a source are one run, whoever inserts them.
 */
export const create = (schema: string): ReadonlyArray<string> => [
  // two that set up at once would both find nothing
  `SELECT pg_advisory_xact_lock(hashtext('effect-auditlog ${schema}'))::text`,
  `CREATE SCHEMA IF NOT EXISTS ${schema}`,
  `CREATE TABLE IF NOT EXISTS ${schema}.chunk (
    source uuid NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    from_offset bigint NOT NULL CHECK (from_offset >= 0),
    to_offset bigint NOT NULL CHECK (to_offset > from_offset),
    lines integer NOT NULL,
    resume text NOT NULL,
    shipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, generation, from_offset),
    UNIQUE (source, generation, to_offset)
  )`,
  // a line that is no text for PostgreSQL (not UTF-8, or with a NUL) stands in raw
  `CREATE TABLE IF NOT EXISTS ${schema}.line (
    source uuid NOT NULL,
    generation integer NOT NULL,
    position bigint NOT NULL,
    shipped_at timestamptz NOT NULL DEFAULT now(),
    line text,
    raw bytea,
    CHECK ((line IS NULL) <> (raw IS NULL)),
    PRIMARY KEY (source, generation, position, shipped_at)
  ) PARTITION BY RANGE (shipped_at)`,
  // nothing fails because a month was forgotten
  `CREATE TABLE IF NOT EXISTS ${schema}.line_default PARTITION OF ${schema}.line DEFAULT`,
  `REVOKE ALL ON SCHEMA ${schema} FROM PUBLIC`,
  `REVOKE ALL ON ${schema}.chunk, ${schema}.line FROM PUBLIC`,
  `DO $$
  DECLARE
    month timestamptz;
  BEGIN
    FOR i IN 0..${monthsAhead} LOOP
      month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => i);
      BEGIN
        EXECUTE format(
          'CREATE TABLE IF NOT EXISTS ${schema}.%I PARTITION OF ${schema}.line FOR VALUES FROM (%L) TO (%L)',
          'line_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), month, month + interval '1 month'
        );
      EXCEPTION WHEN check_violation THEN
        -- the default partition has rows of that month by now, and keeps them
        NULL;
      END;
    END LOOP;
  END
  $$`
]

/** Lets a role ship, or read. */
export const grant = (schema: string, role: string, rights: "SELECT" | "INSERT, SELECT"): ReadonlyArray<string> => [
  `GRANT USAGE ON SCHEMA ${schema} TO "${role.replaceAll(`"`, `""`)}"`,
  `GRANT ${rights} ON ${schema}.chunk, ${schema}.line TO "${role.replaceAll(`"`, `""`)}"`
]

/** What decides what an acknowledgement means, and whether this role could change what is there. */
export const inspect = (schema: string): string =>
  `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
    current_setting('synchronous_standby_names') AS standbys,
    (has_table_privilege('${schema}.line', 'UPDATE') OR has_table_privilege('${schema}.line', 'DELETE')
      OR has_table_privilege('${schema}.line', 'TRUNCATE'))::text AS changes`

export const head = (schema: string): string =>
  `SELECT to_offset::text AS stands, resume FROM ${schema}.chunk
    WHERE source = $1::uuid AND generation = $2::int ORDER BY to_offset DESC LIMIT 1`

export const sources = (schema: string): string =>
  `SELECT DISTINCT source::text AS id, generation::text AS generation FROM ${schema}.chunk`

/**
 * Inserts a chunk and its lines, all or nothing, if the source stands where it begins. One statement: one transaction and
 * one round trip. A chunk that is all text comes as one parameter, which the server splits: the driver takes several times
 * as long to encode an array.
 */
export const append = (schema: string, isText: boolean): string =>
  `WITH head AS (
    INSERT INTO ${schema}.chunk (source, generation, from_offset, to_offset, lines, resume)
    SELECT $1::uuid, $2::int, $3::bigint, $4::bigint, $5::int, $6::text
    WHERE $3::bigint = 0 OR EXISTS (
      SELECT 1 FROM ${schema}.chunk WHERE source = $1::uuid AND generation = $2::int AND to_offset = $3::bigint
    )
    ON CONFLICT DO NOTHING
    RETURNING 1
  ), lines AS (
    INSERT INTO ${schema}.line (source, generation, position, ${isText ? "line" : "line, raw"})
    SELECT $1::uuid, $2::int, $3::bigint + t.position, ${
    isText
      ? "t.line"
      : "CASE WHEN t.is_text THEN t.line END, CASE WHEN NOT t.is_text THEN decode(t.line, 'base64') END"
  }
    FROM head, ${
    isText
      ? "unnest($7::text::int[], string_to_array($8::text, chr(10))) AS t(position, line)"
      : "unnest($7::text::int[], $8::text[], $9::text::bool[]) AS t(position, line, is_text)"
  }
  )
  SELECT count(*)::text AS taken FROM head`

/** Lines from the one on that holds an offset, in pages. */
export const read = (schema: string, pageLines: number): string =>
  `SELECT position::text AS start, line, encode(raw, 'base64') AS raw FROM ${schema}.line
    WHERE source = $1::uuid AND generation = $2::int AND position >= $3::bigint
    ORDER BY position LIMIT ${pageLines}`

/** Where the line begins that holds an offset. */
export const lineAt = (schema: string): string =>
  `SELECT position::text AS start FROM ${schema}.line
    WHERE source = $1::uuid AND generation = $2::int AND position <= $3::bigint ORDER BY position DESC LIMIT 1`
