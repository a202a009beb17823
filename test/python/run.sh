#!/usr/bin/env bash
# Runs Python's own SDKs through a paid route, offline, on a local chain: npm run test:python
# Its packages are installed here from its own lock and not with the project; a second run finds them there.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here"
export PATH="$here/node_modules/.bin:$PATH"
status=0
PYTHON_ENVIRONMENT=$(bash test/tools/python-environment.sh python) || status=$?
[ "$status" != 75 ] || exit 0
[ "$status" = 0 ] || exit "$status"
export PYTHON_ENVIRONMENT
exec bash test/tools/without-network.sh vitest run --config test/python/vitest.config.ts "$@"
