import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { isDead, parseProcessStat, thisInstance } from '../../src/io/ledger/instance.ts'
import type { Instance } from '../../src/io/store/contracts/instances.ts'

const NOW = 1_795_000_000_000
const clock = { now: () => NOW }
const self = thisInstance(clock)

describe('this process', () => {
  test('is described so that another process can recognise it', () => {
    expect(self).toMatchObject({ pid: process.pid, startedAt: NOW, heartbeatAt: NOW })
    expect(self.id).toMatch(/^ins_[0-9a-f]{24}$/)
    expect(self.processStart).toMatch(/^\d+$/)
    expect(self.host).toContain(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
    expect(thisInstance(clock)).toEqual({ ...self, id: expect.not.stringContaining(self.id) })
  })

  test('is not dead', async () => {
    expect(await isDead(self, self, NOW)).toBe(false)
  })
})

describe('another process of this machine', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  async function startChild(): Promise<{ child: ChildProcess; instance: Instance }> {
    const child = spawn(process.execPath, ['-e', 'console.log("up"); setTimeout(() => {}, 20000)'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    await once(child.stdout, 'data')
    const pid = child.pid ?? 0
    const start = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.start ?? ''
    expect(start).not.toBe('')
    return { child, instance: { ...self, id: 'ins_child', pid, processStart: start } }
  }

  test('rule 10: lives while it runs, and is dead as soon as it is killed, however fresh its heartbeat', async () => {
    const { child, instance } = await startChild()
    expect(await isDead(instance, self, NOW)).toBe(false)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await isDead(instance, self, NOW)).toBe(true)
  })

  test('is dead although its parent has not collected it yet', async () => {
    // A shell that has become `sleep` never asks for the child it started before.
    const script = 'exec 3<&0; cat <&3 >/dev/null & echo $!; exec sleep 20 3<&- <&-'
    const parent = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(parent)
    const pid = Number(String((await once(parent.stdout, 'data'))[0]))
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n')
    parent.stdin.end()
    const instance = { ...self, id: 'ins_child', pid, processStart: '' }
    await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) Z /)
    expect(await isDead(instance, self, NOW)).toBe(true)
  })

  test('is dead when its id now belongs to a process started at another time', async () => {
    const { instance } = await startChild()
    expect(await isDead({ ...instance, processStart: '1' }, self, NOW)).toBe(true)
    expect(await isDead({ ...instance, processStart: '' }, self, NOW)).toBe(false)
  })

  test('is alive while the system reports it as running, however far the clock has jumped', async () => {
    const { instance } = await startChild()
    expect(await isDead(instance, self, NOW + 365 * 86_400_000)).toBe(false)
  })

  test('is dead once its heartbeat is too old, when its start time is unknown', async () => {
    const { instance } = await startChild()
    const unknown = { ...instance, processStart: '' }
    expect(await isDead(unknown, self, NOW + 30_000)).toBe(false)
    expect(await isDead(unknown, self, NOW + 30_001)).toBe(true)
    expect(await isDead(unknown, self, NOW + 101, 100)).toBe(true)
  })
})

test('judges a process on another host by its heartbeat only, whatever runs here under its id', async () => {
  const elsewhere = { ...self, host: 'other', pid: 2 ** 22 + 1 }
  expect(await isDead(elsewhere, self, NOW + 30_000)).toBe(false)
  expect(await isDead(elsewhere, self, NOW + 30_001)).toBe(true)
  expect(await isDead({ ...elsewhere, pid: process.pid }, self, NOW + 30_001)).toBe(true)
  expect(await isDead(elsewhere, self, NOW - 60_000)).toBe(false)
})

describe('/proc/<pid>/stat', () => {
  const rest = '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21'

  test('is parsed whatever the name of the process contains', () => {
    for (const name of ['node', 'a b', 'a) S (b', ') Z 1 2 (', '((', 'x\ny', '']) {
      expect(parseProcessStat(`42 (${name}) S ${rest}\n`), name).toEqual({ start: '987654', ended: false })
    }
  })

  test('recognises ended processes', () => {
    expect(parseProcessStat(`42 (node) Z ${rest}`)).toEqual({ start: '987654', ended: true })
  })

  test('gives nothing for other text', () => {
    for (const junk of ['', '42 node S', '42 (node) S 1 2', '42 (node)']) {
      expect(parseProcessStat(junk)).toBeUndefined()
    }
  })
})
