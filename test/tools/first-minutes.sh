#!/usr/bin/env bash
# From an empty directory to a paid, streamed answer and to a spend page that shows it, by the documented lines and the packed
# tarball. Prints the seconds of each command. Installs from the npm registry; not part of `npm test`.
#   bash test/tools/first-minutes.sh [tarball]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$root/node_modules/.bin:$PATH"
place=$(mktemp -d "${TMPDIR:-/tmp}/first-minutes.XXXXXX")
trap 'rm -rf "$place"' EXIT
tarball=${1:-}
if [ -z "$tarball" ]; then
  tarball=$place/$(cd "$root" && npm pack --silent --pack-destination "$place" | tail -1)
fi
spec=file:$(realpath "$tarball")
mkdir "$place/empty" && cd "$place/empty"
export npm_config_cache=$place/npm-cache npm_config_yes=true
seconds() { date +%s.%N; }
step() { # label, command...
  local label=$1 from; shift; from=$(seconds)
  "$@"
  awk -v label="$label" -v from="$from" -v to="$(seconds)" 'BEGIN { printf "%-44s %5.1f s\n", label, to - from }' >&2
}
step "1: npx <tarball> init --sandbox --yes" npx "$spec" init --sandbox --yes >init.txt
step "2: npx <tarball> sandbox --config … --once" npx "$spec" sandbox --config tollway.yaml --once | tee once.txt
grep -q '^Transaction  0x' once.txt
# npx does not pass signals on: the whole group gets them.
setsid npx "$spec" sandbox --config tollway.yaml --call >call.txt & sandbox=$!
from=$(seconds)
until grep -q '^Ctrl-C' call.txt 2>/dev/null; do sleep 0.2; kill -0 $sandbox; done
node -e 'fetch("http://127.0.0.1:8402/api/charges").then(async (answer) => {
  const { charges } = await answer.json()
  if (charges.length !== 1 || charges[0].state !== "settled") throw new Error("the page shows no settled payment")
})'
awk -v from="$from" -v to="$(seconds)" 'BEGIN { printf "%-44s %5.1f s\n", "2 again, with --call: a page that shows spend", to - from }' >&2
kill -INT -- -$sandbox; wait $sandbox || true
