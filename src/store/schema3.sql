-- How Slack's lists changed: who came and who left, a JSON array each. A change counts from the watermark that
-- the service gave it; without one it does not count yet.
CREATE TABLE list_change (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    list      TEXT NOT NULL,
    added     TEXT NOT NULL,
    removed   TEXT NOT NULL,
    made_at   INTEGER NOT NULL,
    watermark INTEGER
) STRICT;
CREATE INDEX list_change_list ON list_change (list, seq);
CREATE INDEX list_change_waiting ON list_change (seq) WHERE watermark IS NULL;

-- Spans of the past that somebody asked for, in Unix seconds; all before `reached` is in.
CREATE TABLE backfill (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    source   TEXT NOT NULL,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    reached  INTEGER NOT NULL,
    events   INTEGER NOT NULL DEFAULT 0,
    made_at  INTEGER NOT NULL,
    made_by  TEXT NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX backfill_waiting ON backfill (source, id) WHERE ended_at IS NULL;

-- What a sink refused for good: an anomaly, or a raw event.
CREATE TABLE dead_letter (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    sink       TEXT NOT NULL,
    anomaly    TEXT REFERENCES anomaly (id),
    event      TEXT,
    reason     TEXT NOT NULL,
    refused_at INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letter_sink ON dead_letter (sink, seq);

-- Blocks of the log for sinks of raw events, and how far each sink is: all blocks up to `taken`, and so many
-- rows of the next.
CREATE TABLE feed (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    rows      INTEGER NOT NULL,
    events    BLOB NOT NULL,
    admission BLOB NOT NULL
) STRICT;
CREATE TABLE feed_sink (
    sink  TEXT PRIMARY KEY,
    taken INTEGER NOT NULL,
    rows  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
