#!/usr/bin/env bash
# Runs the real OpenClaw against a gateway and a seller on a local chain: npm run test:openclaw
# OpenClaw is over 600 MB, so it is installed here and not with the project; a second run finds it there.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here/test/openclaw"
export PATH="$here/node_modules/.bin:$PATH"
wanted=$(node -p "require('./package.json').dependencies.openclaw")
found=$(node -p "require('./node_modules/openclaw/package.json').version" 2>/dev/null || true)
if [ "$found" != "$wanted" ]; then
  echo "test:openclaw: installing openclaw $wanted"
  npm ci --no-fund --no-audit
fi
cd "$here"
exec vitest run --config test/openclaw/vitest.config.ts "$@"
