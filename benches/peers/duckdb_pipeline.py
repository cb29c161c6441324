"""Names flows with DuckDB: JSON lines, ASOF JOIN with the DNS answers, edges.

In: a folder with flows-*.ndjson (Hubble exporter) and dns.parquet, and the CSV file to write. Out: one row per
namespace, workload, destination (name or address), port and protocol, with connections, first and last time.

The reader is the fastest of those tried: every line as one text column (`read_csv` with a delimiter that JSON cannot
hold), then one call of `json_extract_string` with all the paths, so that a line is parsed once. `read_json` with a
declared structure took about a third more CPU. Dropping replies by text search before the extraction, which
pays off in the other two pipelines, costs here as much as it saves.

Two settings keep the planner from a bad choice: `MATERIALIZED` stops it from copying the extraction into every column
that uses it (half as much CPU again), and `asof_loop_join_threshold = 0` stops it from a nested-loop ASOF join
(eight times the CPU), which it picks because it guesses too few connections.
"""

import sys

import duckdb

PATHS = [
    "$.flow.time",
    "$.flow.IP.source",
    "$.flow.IP.destination",
    "$.flow.source.namespace",
    "$.flow.source.workloads[0].name",
    "$.flow.source.pod_name",
    "$.flow.l4.TCP.source_port",
    "$.flow.l4.TCP.destination_port",
    "$.flow.l4.UDP.source_port",
    "$.flow.l4.UDP.destination_port",
    "$.flow.traffic_direction",
    "$.flow.is_reply",
]

QUERY = """
WITH fields AS MATERIALIZED (
    SELECT json_extract_string(line, {paths}) AS field
    FROM read_csv('{folder}/flows-*.ndjson', columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
                  delim = '\x01', quote = '', escape = '', max_line_size = 1048576)
), records AS (
    SELECT CAST(field[1] AS TIMESTAMP_NS) AS time,
           field[2] AS client,
           field[3] AS address,
           coalesce(field[4], '') AS namespace,
           coalesce(field[5], regexp_replace(field[6], '(-[a-z0-9]{{8,10}})?-[a-z0-9]{{5}}$', ''), '') AS workload,
           CAST(coalesce(field[7], field[9]) AS USMALLINT) AS client_port,
           CAST(coalesce(field[8], field[10]) AS USMALLINT) AS port,
           CASE WHEN field[8] IS NOT NULL THEN 'TCP' WHEN field[10] IS NOT NULL THEN 'UDP' ELSE '' END AS protocol
    FROM fields
    WHERE field[11] = 'EGRESS' AND field[12] IS DISTINCT FROM 'true'
), connections AS (
    SELECT client, client_port, address, port, protocol,
           max(namespace) AS namespace, min(workload) AS workload, min(time) AS first, max(time) AS last
    FROM records
    GROUP BY client, client_port, address, port, protocol
), answers AS (
    SELECT make_timestamp_ns(time_ns) AS time, client, name, address FROM read_parquet('{folder}/dns.parquet')
), named AS (
    SELECT c.*, CASE WHEN c.first - a.time <= INTERVAL 10 MINUTE THEN a.name END AS name
    FROM connections c
    ASOF LEFT JOIN answers a ON c.client = a.client AND c.address = a.address AND c.first >= a.time
)
SELECT namespace, workload, coalesce(name, address) AS destination, port, protocol,
       count(*) AS connections, min(first) AS first_seen, max(last) AS last_seen
FROM named
GROUP BY ALL
ORDER BY ALL
"""


def main():
    folder, out = sys.argv[1:3]
    base = duckdb.connect()
    base.execute("SET preserve_insertion_order = false")
    base.execute("SET enable_progress_bar = false")
    base.execute("SET asof_loop_join_threshold = 0")
    query = QUERY.format(folder=folder, paths=PATHS)
    base.execute(f"COPY ({query}) TO '{out}' (HEADER)")


if __name__ == "__main__":
    main()
