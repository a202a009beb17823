#!/usr/bin/env bash
# Drives the real agentcash as a payer, offline, on a local chain: npm run test:peers
# agentcash is 220 MB, so it is installed here from its own lock and not with the project; a second run finds it there.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here/test/peers"
export PATH="$here/node_modules/.bin:$PATH"
wanted=$(node -p "require('./package.json').dependencies.agentcash")
found=$(node -p "require('./node_modules/agentcash/package.json').version" 2>/dev/null || true)
if [ "$found" != "$wanted" ]; then
  echo "test:peers: installing agentcash $wanted"
  npm ci --ignore-scripts --no-fund --no-audit
fi
node check-port.ts
cd "$here"
exec vitest run --config test/peers/vitest.config.ts "$@"
