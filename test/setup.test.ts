import { spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SCRIPT = join(import.meta.dirname, 'tools/install-quietly.sh')

let directory: string
let policy: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollway-setup-'))
  policy = join(directory, 'policy-rc.d')
  await mkdir(join(directory, 'bin'))
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

/** A stand-in for a command that needs root and the network: it tells what it was asked. */
async function fake(name: string, script: string): Promise<void> {
  const path = join(directory, 'bin', name)
  await writeFile(path, `#!/bin/sh\necho "${name} $*" >>"${directory}/calls"\n${script}\n`)
  await chmod(path, 0o755)
}

function install(...packages: string[]): number | null {
  const env = {
    ...process.env,
    PATH: `${join(directory, 'bin')}:${process.env['PATH']}`,
    POLICY_RC_D: policy,
  }
  return spawnSync('bash', [SCRIPT, ...packages], { env }).status
}

const exists = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined)) !== undefined
const calls = async (): Promise<string[]> =>
  (await readFile(join(directory, 'calls'), 'utf8')).trimEnd().split('\n')

test('no service may start while packages are installed, and afterwards all may again', async () => {
  await fake('apt-get', `sh "${policy}" prometheus start; echo "answer $?" >>"${directory}/calls"`)
  await fake('systemctl', '')
  expect(install('prometheus', 'strace')).toBe(0)
  expect(await calls()).toEqual([
    'apt-get update -qq',
    'answer 101',
    'apt-get install -y -qq --no-install-recommends prometheus strace',
    'answer 101',
    'systemctl disable --quiet prometheus',
  ])
  expect(await exists(policy)).toBe(false)
})

test("the machine's own policy is put back, also when the installation fails", async () => {
  await writeFile(policy, 'of the machine')
  await fake('apt-get', '[ "$1" = update ] || exit 100')
  await fake('systemctl', '')
  expect(install('prometheus')).toBe(100)
  expect(await readFile(policy, 'utf8')).toBe('of the machine')
  expect(await calls()).not.toContain('systemctl disable --quiet prometheus')
})

test('services of other packages are left alone', async () => {
  await fake('apt-get', '')
  await fake('systemctl', '')
  expect(install('strace')).toBe(0)
  expect((await calls()).filter((call) => call.startsWith('systemctl'))).toEqual([])
})
