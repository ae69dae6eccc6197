"""Times DuckDB as a peer of gridwatch: three of the shipped detectors as one query over a file.

    python3 benches/peers/duckdb.py EVENTS.ndjson NETWORKS.csv [--threads N] [--runs R]

The files are what `gridwatch generate` writes. Measured is one SELECT, from opening the files to
the counts, each run in a new in-memory database. A run prints a line of JSON: wall and CPU seconds,
the events read, and the findings of each detector, as in the rules at most one an hour and person.
The query is of our own making. It does less than the rules: it only counts, without evidence.

1. file_bulk_download: as the rule has it.
2. agent_new_family: families and systems by regular expressions; no value is ever forgotten.
3. travel_impossible: compares with the person's last position alone, not with each place of the
   last 12 hours, and looks neither at sessions nor at levels; IPv4 only.
Of 2 and 3, a few names of actions instead of the whole table tell whose context an event carries.
"""

import argparse
import json
import os
import resource
import sys
import time

# In this file's own folder, `duckdb` would be this file.
FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != FOLDER]
try:
    import duckdb
except ImportError:
    print("cannot import duckdb: pip install duckdb", file=sys.stderr)
    sys.exit(3)

QUERY = r"""
WITH events AS MATERIALIZED (
  SELECT id, make_timestamp(date_create * 1000000) AS moment, action, actor.user.id AS actor,
    entity.file.id AS file, context.ua, nullif(context.ip_address, '') AS ip, context.app.id AS app,
    actor.type = 'user' AND context.app IS NULL AND coalesce(ip, '') NOT LIKE '127.%'
      AND action NOT IN ('anomaly', 'guest_created', 'huddle_participant_left', 'user_login_failed',
        'message_tombstoned', 'user_profile_updated', 'user_session_reset_by_admin')
      AND (action NOT IN ('user_channel_join', 'user_channel_leave')
        OR coalesce(details.type, 'JOINED') IN ('JOINED', 'LEFT')) AS own
  FROM read_json($events, format = 'newline_delimited', columns = {
    id: 'VARCHAR', date_create: 'BIGINT', action: 'VARCHAR', details: 'STRUCT("type" VARCHAR)',
    actor: 'STRUCT("type" VARCHAR, "user" STRUCT(id VARCHAR))',
    entity: 'STRUCT(file STRUCT(id VARCHAR))',
    context: 'STRUCT(ua VARCHAR, ip_address VARCHAR, app STRUCT(id VARCHAR))'})
), downloads AS (
  SELECT actor, moment, count(DISTINCT file) OVER (PARTITION BY actor ORDER BY moment
    RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW) AS files
  FROM events WHERE action = 'file_downloaded' AND app IS NULL
), agents AS (
  SELECT actor, min(moment) AS moment, min(min(moment)) OVER (PARTITION BY actor) AS since
  FROM (
    SELECT actor, min(moment) AS moment,
      regexp_extract(ua, 'Windows|Android|CrOS|Mac OS|iOS|Linux') AS os, regexp_replace(ua,
        '(?s)^(?:Mozilla/.* (Slack_SSB|Edg|OPR|Firefox|Chrome|Version)/|([^/ (]+)).*',
        '\1\2') AS family
    FROM events WHERE own AND ua <> '' AND NOT starts_with(ua, 'AppleCoreMedia/')
      AND NOT starts_with(ua, 'com.tinyspeck.chatlyio.')
    GROUP BY actor, ua
  ) GROUP BY actor, family, os
), networks AS (
  SELECT *, split_part(network, '/', 2)::INTEGER AS bits,
    list_reduce(split(split_part(network, '/', 1), '.')::BIGINT[], lambda n, b: n * 256 + b) AS base
  FROM read_csv($networks, types = {network: 'VARCHAR', latitude: 'DOUBLE', longitude: 'DOUBLE',
    accuracy_km: 'DOUBLE', asn: 'BIGINT', kind: 'VARCHAR'}, header = true)
  WHERE network NOT LIKE '%:%' AND latitude IS NOT NULL AND longitude IS NOT NULL
), addresses AS (
  SELECT ip, list_reduce(try_cast(split(ip, '.') AS BIGINT[]), lambda n, b: n * 256 + b) AS number
  FROM (SELECT DISTINCT ip FROM events WHERE own)
), places AS (
  SELECT ip, unnest(arg_max({'lat': radians(latitude), 'lon': radians(longitude), 'asn': asn,
    'radius': coalesce(accuracy_km, 0), 'kind': kind,
    'cell': hash(asn, floor(latitude * 2), floor(longitude * 2))}, bits))
  FROM addresses CROSS JOIN (SELECT DISTINCT bits FROM networks) JOIN networks USING (bits)
  WHERE base >> (32 - bits) = number >> (32 - bits) GROUP BY ip
), positions AS (
  SELECT actor, moment, ip, lag(ip) OVER last AS old_ip,
    greatest(date_diff('second', lag(moment) OVER last, moment), 1) / 3600 AS hours,
    min(moment) OVER (PARTITION BY actor, cell) AS first
  FROM events JOIN places USING (ip) WHERE own AND kind IS DISTINCT FROM 'relay'
  WINDOW last AS (PARTITION BY actor ORDER BY moment, id)
), journeys AS (
  SELECT actor, moment, hours, 2 * 6371 * asin(sqrt(least(1, sin((here.lat - was.lat) / 2) ** 2
    + cos(here.lat) * cos(was.lat) * sin((here.lon - was.lon) / 2) ** 2)))
    - here.radius - was.radius AS km
  FROM positions JOIN places AS here USING (ip) JOIN places AS was ON was.ip = old_ip
  WHERE ip <> old_ip AND hours <= 12 AND moment <= first + INTERVAL 2 HOUR
    AND here.kind IS DISTINCT FROM 'corporate'
    AND NOT coalesce(here.asn = was.asn AND 'mobile' IN (here.kind, was.kind), false)
)
SELECT (SELECT count(*) FROM events),
  (SELECT count(DISTINCT (actor, date_trunc('hour', moment))) FROM downloads WHERE files >= 100),
  (SELECT count(DISTINCT (actor, date_trunc('hour', moment))) FROM agents
    WHERE moment >= since + INTERVAL 3 DAY),
  (SELECT count(DISTINCT (actor, date_trunc('hour', moment))) FROM journeys
    WHERE km >= 500 AND km / hours > 900)
"""


def cpu_seconds():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("events", metavar="EVENTS.ndjson")
parser.add_argument("networks", metavar="NETWORKS.csv")
parser.add_argument("--threads", type=int, help="as many as DuckDB likes, by default")
parser.add_argument("--runs", type=int, default=1)
arguments = parser.parse_args()
files = {"events": arguments.events, "networks": arguments.networks}
config = {"threads": arguments.threads} if arguments.threads else {}
for _ in range(arguments.runs):
    with duckdb.connect(config=config) as database:
        wall, cpu = time.perf_counter(), cpu_seconds()
        events, *findings = database.execute(QUERY, files).fetchone()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    run = {"seconds": round(wall, 4), "cpu_seconds": round(cpu, 4), "events": events}
    print(json.dumps(run | {"findings": findings, "version": duckdb.__version__}), flush=True)
