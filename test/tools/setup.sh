#!/usr/bin/env bash
# Installs what the tests need beyond npm. Safe to run again.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
missing=()
[ -x /usr/bin/chromium ] || [ -x /usr/bin/chromium-browser ] || [ -x /usr/bin/google-chrome ] || missing+=(chromium)
command -v strace >/dev/null || missing+=(strace)
command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
# Debian keeps the server's programs off the PATH; the tests start servers of their own.
[ -x "${POSTGRES_BIN:-}/initdb" ] || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v openssl >/dev/null || missing+=(openssl)
# Debian's python3 comes without it; where there is no Python, its tests say so and are left out.
if command -v python3 >/dev/null && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then missing+=(python3-venv); fi
command -v prlimit >/dev/null && command -v setpriv >/dev/null || missing+=(util-linux)

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "setup:test: install these with your package manager: ${missing[*]}" >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup:test: needs root to apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" bash "$here/test/tools/install-quietly.sh" "${missing[@]}"
fi

# A platform binary that npm left out falls back to the system's Node without a word.
for tool in node anvil; do
  if [ ! -x "$here/node_modules/.bin/$tool" ]; then
    echo "setup:test: node_modules/.bin/$tool is missing. Run npm ci; on another system than linux-x64 put $tool on the PATH instead." >&2
    command -v "$tool" >/dev/null || exit 1
  fi
done
echo "setup:test: everything the tests need is here"
