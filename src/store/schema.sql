-- The state of a store, version 1. Times are microseconds since 1970, UTC.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('id', random());

-- Events that are in the log and not yet in a segment, a block for each batch that came.
CREATE TABLE tail (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    rows        INTEGER NOT NULL,
    first_order INTEGER NOT NULL,
    last_order  INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    last_event  INTEGER NOT NULL,
    events      BLOB NOT NULL,
    admission   BLOB NOT NULL
) STRICT;

-- The manifest of the archive: a file that does not stand here is no part of it.
CREATE TABLE segment (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    path        TEXT NOT NULL UNIQUE,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    first_order INTEGER NOT NULL,
    last_order  INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    last_event  INTEGER NOT NULL
) STRICT;
CREATE INDEX segment_order ON segment (last_order);
CREATE INDEX segment_event ON segment (last_event);

CREATE TABLE source (
    name   TEXT PRIMARY KEY,
    newest INTEGER,
    age    INTEGER NOT NULL,
    claim  INTEGER
) STRICT, WITHOUT ROWID;

-- What the log holds besides events, each from a watermark on.
CREATE TABLE control (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    watermark INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    body      TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX control_step ON control (watermark) WHERE kind = 'watermark';
CREATE INDEX control_kind ON control (kind, seq);

CREATE TABLE anomaly (
    id         TEXT PRIMARY KEY,
    rule       TEXT NOT NULL,
    level      TEXT NOT NULL,
    order_time INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    exception  TEXT,
    shadow     INTEGER NOT NULL,
    record     TEXT NOT NULL,
    found_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX anomaly_time ON anomaly (order_time, event_time, event_id);

CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    sink    TEXT NOT NULL,
    anomaly TEXT NOT NULL REFERENCES anomaly (id)
) STRICT;
CREATE INDEX outbox_sink ON outbox (sink, seq);

CREATE TABLE reject (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    source  TEXT NOT NULL,
    arrived INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;

-- Of a token only its hash is kept.
CREATE TABLE token (
    id         INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    created    INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
