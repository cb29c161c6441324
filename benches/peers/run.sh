#!/usr/bin/env bash
# Times the peers and egress-atlas on one folder of generated input, in turn: A B C D, A B C D, …
#
#   benches/peers/run.sh DIR [BINARY]
#
# DIR holds flows-*.ndjson, dns.fstrm and kube.json; dns.parquet is made (untimed) when it is not there.
# BINARY is egress-atlas, default target/release/egress-atlas. PYTHON names the interpreter with requirements.txt
# installed (default python3), ROUNDS the number of rounds (3), TOOLS the tools (egress-atlas duckdb chdb polars).
# Whatever is absent or fails is named on standard error and left out of the table.
set -euo pipefail

folder=${1:?usage: run.sh DIR [BINARY]}
here=$(cd "$(dirname "$0")" && pwd)
binary=${2:-$here/../../target/release/egress-atlas}
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
read -r -a wanted <<<"${TOOLS:-egress-atlas duckdb chdb polars}"

if [[ ! -x /usr/bin/time ]]; then
    echo "/usr/bin/time (GNU time) is needed and absent" >&2
    exit 2
fi
if ! compgen -G "$folder/flows-*.ndjson" >/dev/null; then
    echo "no flows-*.ndjson in $folder" >&2
    exit 2
fi

if [[ ! -s $folder/dns.parquet ]]; then
    "$python" "$here/decode_dns.py" "$folder/dns.fstrm" "$folder/dns.parquet" ||
        echo "SKIPPED all peers: dns.fstrm could not be decoded (is pyarrow installed for $python?)" >&2
fi

tools=()
for tool in "${wanted[@]}"; do
    if [[ $tool == egress-atlas ]]; then
        if [[ -x $binary ]]; then tools+=("$tool"); else echo "SKIPPED egress-atlas: no binary at $binary" >&2; fi
    elif [[ ! -s $folder/dns.parquet ]]; then
        echo "SKIPPED $tool: no dns.parquet in $folder" >&2
    elif "$python" -c "import $tool" 2>/dev/null; then
        tools+=("$tool")
    else
        echo "SKIPPED $tool: $python cannot import it (pip install -r $here/requirements.txt)" >&2
    fi
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

measure() {
    local tool=$1 round=$2
    local command=("$python" "$here/${tool}_pipeline.py" "$folder" "$out/$tool.csv")
    if [[ $tool == egress-atlas ]]; then
        command=("$binary" discover --quiet --flows "$folder/flows-*.ndjson" --dns "$folder/dns.fstrm"
            --kube "$folder/kube.json" --out "$out/documents")
    fi
    rm -rf "$out/$tool.csv" "$out/documents"
    if /usr/bin/time -o "$out/time" -f "%e %U %S %M" "${command[@]}" >"$out/said" 2>&1; then
        echo "$tool $round $(cat "$out/time")" | tee -a "$out/runs" >&2
    else
        echo "FAILED $tool in round $round: $(tail -n 1 "$out/said")" >&2
    fi
}

# Reads everything once, so that the first tool does not pay for a cold page cache.
cat "$folder"/flows-*.ndjson "$folder"/dns.* >/dev/null
echo "tool round wall user system peak_KiB" >&2
for ((round = 1; round <= rounds; round++)); do
    for tool in "${tools[@]}"; do measure "$tool" "$round"; done
done

"$python" - "$out" "${tools[@]}" <<'TABLE'
import os
import statistics
import sys

out, tools = sys.argv[1], sys.argv[2:]
runs = {}
if os.path.exists(f"{out}/runs"):
    for line in open(f"{out}/runs"):
        tool, _, wall, user, system, peak = line.split()
        runs.setdefault(tool, []).append((float(wall), float(user) + float(system), int(peak) / 1024))
medians = {tool: [statistics.median(column) for column in zip(*rows)] for tool, rows in runs.items()}
base = medians.get("egress-atlas")
print("| tool | wall s | CPU s | peak MiB | wall ratio | CPU ratio | peak ratio | runs | edges |")
print("|---|---|---|---|---|---|---|---|---|")
for tool in tools:
    if tool not in medians:
        continue
    row = medians[tool]
    ratios = [f"{mine / ours:.1f} x" for mine, ours in zip(row, base)] if base else ["-"] * 3
    csv = f"{out}/{tool}.csv"
    edges = str(sum(1 for _ in open(csv)) - 1) if os.path.exists(csv) else "-"
    cells = [tool, f"{row[0]:.2f}", f"{row[1]:.2f}", f"{row[2]:.0f}", *ratios, str(len(runs[tool])), edges]
    print("| " + " | ".join(cells) + " |")
TABLE
