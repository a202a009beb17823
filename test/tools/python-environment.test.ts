import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tollway-python-'))
  for (const name of ['bin', 'test/tools', 'test/sdk']) mkdirSync(join(home, name), { recursive: true })
  copyFileSync(join(import.meta.dirname, 'python-environment.sh'), join(home, 'test/tools/make.sh'))
  writeFileSync(join(home, 'test/tools/uv.lock'), 'uv==1 --hash=sha256:00\n')
  writeFileSync(join(home, 'test/sdk/requirements.lock'), 'openai==1 --hash=sha256:00\n')
})
afterEach(() => {
  rmSync(home, { recursive: true, force: true })
})

function program(path: string, script: string): void {
  writeFileSync(join(home, path), `#!/bin/sh\n${script}\n`)
  chmodSync(join(home, path), 0o755)
}

/** A stand-in for Python: the environments it makes have a `pip` that does this, and nothing else. */
function python(pip: string): void {
  program('pip', pip)
  program(
    'bin/python3',
    `case "$*" in
      "-m venv "*) mkdir -p "$3/bin" && cp "${home}/pip" "$3/bin/pip" && cp "${home}/uv" "$3/bin/uv" ;;
      *"pip config"*) exit 1 ;;
      *"sys.version)"*) echo 3.11 ;;
    esac`,
  )
  program('uv', `echo "uv $*" >>"${home}/calls"; [ "$1" != venv ] || mkdir -p "${home}/.cache/python/sdk"`)
}

function make(path = `${join(home, 'bin')}:${process.env['PATH']}`): {
  code: number | null
  out: string
  err: string
} {
  const { status, stdout, stderr } = spawnSync('/bin/bash', [join(home, 'test/tools/make.sh'), 'sdk'], {
    env: { PATH: path },
    encoding: 'utf8',
  })
  return { code: status, out: stdout, err: stderr }
}

test('installs what the lock names, prints where, and does nothing the second time', () => {
  python('exit 0')
  expect(make()).toMatchObject({ code: 0, out: `${join(home, '.cache/python/sdk')}\n` })
  expect(existsSync(join(home, 'calls'))).toBe(true)
  rmSync(join(home, 'calls'))
  expect(make()).toMatchObject({ code: 0, out: `${join(home, '.cache/python/sdk')}\n`, err: '' })
  expect(existsSync(join(home, 'calls'))).toBe(false)
})

test('installs anew when the lock changed', () => {
  python('exit 0')
  make()
  rmSync(join(home, 'calls'))
  writeFileSync(join(home, 'test/sdk/requirements.lock'), 'openai==2 --hash=sha256:00\n')
  expect(make().code).toBe(0)
  expect(existsSync(join(home, 'calls'))).toBe(true)
})

test('says why when there is no package index, and does not fail', () => {
  python('echo "ERROR: No matching distribution found for uv==1" >&2; exit 1')
  const { code, err } = make()
  expect(code).toBe(75)
  expect(err).toContain(
    'test:sdk: SKIPPED: no Python package index answers here: ERROR: No matching distribution',
  )
})

test('fails when a file is not what the lock says', () => {
  python('echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE." >&2; exit 1')
  expect(make()).toMatchObject({ code: 1, err: expect.stringContaining('DO NOT MATCH THE HASHES') })
})

test('says why when there is no Python', () => {
  for (const tool of ['dirname', 'grep']) program(`bin/${tool}`, `exec /usr/bin/${tool} "$@"`)
  const { code, err } = make(join(home, 'bin'))
  expect(code).toBe(75)
  expect(err).toBe('test:sdk: SKIPPED: there is no python3 here\n')
})

test.each(['1.82.7', '1.82.8', '1.107.0'])('refuses a lock with the compromised LiteLLM %s', (version) => {
  python('exit 0')
  writeFileSync(join(home, 'test/sdk/requirements.lock'), `litellm==${version} \\\n    --hash=sha256:00\n`)
  expect(make()).toMatchObject({ code: 1, err: expect.stringContaining('compromised') })
})
