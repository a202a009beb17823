#!/usr/bin/env bash
# Makes the Python environment that test/NAME/requirements.lock describes, and prints its directory: python-environment.sh NAME
# Every file that is installed has its hash in the lock; nothing is built, so no package runs code of its own meanwhile.
# Ends with 75 and the reason when it cannot be made here (no Python, no package index); what is wrong with the lock is a failure.
set -euo pipefail
name=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
lock="$here/test/$name/requirements.lock"
cache="$here/.cache/python"
env="$cache/$name"

cannot() { echo "test:$name: SKIPPED: $*" >&2; exit 75; }

# Releases of LiteLLM that carried stolen-credentials malware.
if grep -nE '^litellm==(1\.82\.7|1\.82\.8|1\.107\.0)( |$)' "$lock" >&2; then
  echo "test:$name: the lock names a compromised release of LiteLLM" >&2
  exit 1
fi

command -v python3 >/dev/null || cannot "there is no python3 here"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || cannot "$(python3 --version) is older than 3.11"
python3 -c 'import venv, ensurepip' 2>/dev/null || cannot "python3 has no venv module: run npm run setup:test"

stamp=$(python3 -c 'import sys; print(sys.version)' | cat - "$lock" | sha256sum)
if [ "$(cat "$env/made-from" 2>/dev/null || true)" = "$stamp" ]; then
  echo "$env"
  exit 0
fi

# The same index for uv as for pip, where a person has set another.
index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
export UV_CACHE_DIR="$cache/downloads" UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1

# uv, because pip needs minutes for what uv does in seconds.
uv="$cache/uv/bin/uv"
if ! cmp -s "$here/test/tools/uv.lock" "$cache/uv/made-from"; then
  rm -rf "$cache/uv"
  python3 -m venv "$cache/uv" >&2
  if ! said=$("$cache/uv/bin/pip" install --quiet --retries 1 --no-deps --require-hashes --only-binary :all: -r "$here/test/tools/uv.lock" 2>&1); then
    rm -rf "$cache/uv"
    if grep -qi 'hash' <<<"$said"; then
      echo "$said" >&2
      exit 1
    fi
    cannot "no Python package index answers here: $(tail -n 1 <<<"$said")"
  fi
  cp "$here/test/tools/uv.lock" "$cache/uv/made-from"
fi

echo "test:$name: installing $(grep -c '==' "$lock") locked packages" >&2
rm -rf "$env"
"$uv" venv --quiet --python python3 "$env" >&2
"$uv" pip install --quiet --python "$env/bin/python" --no-deps --require-hashes --only-binary :all: -r "$lock" >&2
echo "$stamp" >"$env/made-from"
echo "$env"
