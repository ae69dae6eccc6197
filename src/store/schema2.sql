-- What people said of anomalies. A mark counts from the watermark that the service gave it; without one it
-- does not count yet.
CREATE TABLE mark (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    anomaly    TEXT NOT NULL REFERENCES anomaly (id),
    verdict    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    made_at    INTEGER NOT NULL,
    made_by    TEXT NOT NULL,
    watermark  INTEGER
) STRICT;
CREATE INDEX mark_waiting ON mark (seq) WHERE watermark IS NULL;
