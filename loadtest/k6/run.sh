#!/bin/sh
# Runs one scenario against the release binary on a fresh data folder, then asks the engine whether
# the books are right: `holdfast verify` must be clean, and the server must have counted as many
# accepted reservations as k6 was told of.
#
#   run.sh smoke|promotion|channels|hot_sku|duplicate_storm [more arguments for k6]
#
# HOLDFAST: the binary (default: target/release/holdfast). K6: the k6 binary (default: k6).
# RESULTS: folder for the summaries (default: loadtest/results). HOLDFAST_DURABILITY: disk or os.
set -eu

scenario=${1:?name a scenario: smoke, promotion, channels, hot_sku or duplicate_storm}
shift
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
holdfast=${HOLDFAST:-${CARGO_TARGET_DIR:-$root/target}/release/holdfast}
k6=${K6:-k6}
results=${RESULTS:-$root/loadtest/results}
mkdir -p "$results"
# Not under /tmp, which is memory on many machines: a sync would cost nothing there.
work=$(mktemp -d "$results/run.XXXXXX")
server=

finish() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT INT TERM

"$holdfast" serve --listen 127.0.0.1:0 --data "$work/data" 2>"$work/log" &
server=$!
address=
tries=0
while [ -z "$address" ]; do
    address=$(sed -n 's|.*http://\([0-9.:]*[0-9]\).*|\1|p' "$work/log" | head -n 1)
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$work/log" >&2
        echo "the server did not become ready" >&2
        exit 1
    fi
    [ -n "$address" ] || sleep 0.1
done

summary="$results/$scenario.json"
status=0
K6_NO_USAGE_REPORT=true "$k6" run --quiet --no-color \
    -e BASE_URL="http://$address" -e SUMMARY="$summary" "$@" "$here/$scenario.js" || status=$?

# Of all series of a metric, the sum of those with this label.
metric() {
    curl -sSf "http://$address/metrics" |
        awk -v name="$1" -v label="$2" 'index($0, name "{") == 1 && index($0, label) { sum += $NF }
            $1 == name { sum += $NF } END { printf "%d\n", sum }'
}
reserved=$(curl -sSf "http://$address/metrics" |
    awk 'index($0, "holdfast_reservation_ops_total{") == 1 && /op="reserve"/ && /outcome="ok"/ { sum += $NF }
        END { printf "%d\n", sum }')
oversold=$(metric holdfast_oversold_units_total '')
violations=$(metric holdfast_invariant_violations_total '')

kill -TERM "$server"
wait "$server" || { cat "$work/log" >&2; echo "the server did not end well" >&2; exit 1; }
server=
"$holdfast" verify --data "$work/data"

told=$(sed -n '/"reserve_accepted"/,/}/s/.*"count": \([0-9]*\).*/\1/p' "$summary" | head -n 1)
echo "accepted: k6 ${told:-0}, server $reserved; oversold $oversold, violations $violations"
if [ "${told:-0}" -ne "$reserved" ] || [ "$oversold" -ne 0 ] || [ "$violations" -ne 0 ]; then
    echo "the books do not agree" >&2
    exit 1
fi
# 99: a threshold was crossed.
exit "$status"
