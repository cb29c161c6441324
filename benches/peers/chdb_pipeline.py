"""Names flows with chDB (ClickHouse inside Python): JSON lines, ASOF JOIN with the DNS answers, edges.

In: a folder with flows-*.ndjson (Hubble exporter) and dns.parquet, and the CSV file to write. Out: one row per
namespace, workload, destination (name or address), port and protocol, with connections, first and last time.

The reader is the fastest of those tried: every line as one text column (`LineAsString`), replies and ingress records
dropped by text search before any parsing, then one `JSONExtract` into a named tuple of the needed fields.
What the search lets through is still checked on the parsed fields.
"""

import sys

import chdb

FLOW = (
    "Tuple(time String, IP Tuple(source String, destination String), "
    "l4 Tuple(TCP Tuple(source_port UInt16, destination_port UInt16), UDP Tuple(source_port UInt16, destination_port UInt16)), "
    "source Tuple(namespace String, pod_name String, workloads Array(Tuple(name String))), "
    "traffic_direction String, is_reply Bool)"
)

QUERY = """
INSERT INTO FUNCTION file('{out}', 'CSVWithNames')
WITH records AS (
    SELECT toUnixTimestamp64Nano(parseDateTime64BestEffort(flow.time, 9, 'UTC')) AS time,
           flow.IP.source AS client,
           flow.IP.destination AS address,
           flow.source.namespace AS namespace,
           if(notEmpty(flow.source.workloads), flow.source.workloads[1].name,
              replaceRegexpOne(flow.source.pod_name, '(-[a-z0-9]{{8,10}})?-[a-z0-9]{{5}}$', '')) AS workload,
           flow.l4.TCP.source_port + flow.l4.UDP.source_port AS client_port,
           flow.l4.TCP.destination_port + flow.l4.UDP.destination_port AS port,
           multiIf(flow.l4.TCP.destination_port > 0, 'TCP', flow.l4.UDP.destination_port > 0, 'UDP', '') AS protocol
    FROM (
        SELECT JSONExtract(line, 'flow', '{flow}') AS flow
        FROM file('{folder}/flows-*.ndjson', 'LineAsString', 'line String')
        WHERE position(line, '"traffic_direction":"EGRESS"') > 0 AND position(line, '"is_reply":true') = 0
    )
    WHERE flow.traffic_direction = 'EGRESS' AND NOT flow.is_reply
), connections AS (
    SELECT client, client_port, address, port, protocol,
           max(namespace) AS namespace, min(workload) AS workload, min(time) AS first, max(time) AS last
    FROM records
    GROUP BY client, client_port, address, port, protocol
), answers AS (
    SELECT assumeNotNull(time_ns) AS time, assumeNotNull(client) AS client, assumeNotNull(name) AS name,
           assumeNotNull(address) AS address
    FROM file('{folder}/dns.parquet', 'Parquet')
), named AS (
    SELECT c.namespace AS namespace, c.workload AS workload, c.port AS port, c.protocol AS protocol,
           c.first AS first, c.last AS last,
           if(a.name != '' AND c.first - a.time <= 600000000000, a.name, c.address) AS destination
    FROM connections c
    ASOF LEFT JOIN answers a ON c.client = a.client AND c.address = a.address AND c.first >= a.time
)
SELECT namespace, workload, destination, port, protocol, count() AS connections,
       fromUnixTimestamp64Nano(min(first), 'UTC') AS first_seen, fromUnixTimestamp64Nano(max(last), 'UTC') AS last_seen
FROM named
GROUP BY namespace, workload, destination, port, protocol
ORDER BY namespace, workload, destination, port, protocol
SETTINGS engine_file_truncate_on_insert = 1
"""


def main():
    folder, out = sys.argv[1:3]
    chdb.query(QUERY.format(folder=folder, out=out, flow=FLOW))


if __name__ == "__main__":
    main()
