import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { composeRecord, EMPTY_HEAD } from '../../src/io/audit/audit-record.ts'
import { run } from '../../src/app/cli/run.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { tollway } from './tollway.ts'

let file: string
let lastHash: string

beforeEach(() => {
  file = join(temporaryDirectory(), 'audit.jsonl')
  let head = EMPTY_HEAD
  const lines = ['charge.held', 'charge.authorized', 'charge.settled', 'charge.authorized'].map(
    (type, index) => {
      const record = composeRecord(head, 1_700_000_000_000 + index, type, {
        charge: index < 3 ? 'chg_one' : 'chg_two',
      })
      head = record.head
      return record.line
    },
  )
  lastHash = head.hash
  writeFileSync(file, Buffer.concat(lines))
})

describe('audit verify', () => {
  it('tells that a file is whole, and which payments were never booked', async () => {
    expect(await tollway(['audit', 'verify', file])).toEqual({
      code: 0,
      stdout: `${file} is intact: 4 records, the last one number 4 with hash ${lastHash}.
Open: chg_two was authorized and has no recorded outcome. Its payment may have been sent.
`,
      stderr: '',
    })
  })

  it('ends with 1 at the first line that was changed', async () => {
    writeFileSync(file, readFileSync(file, 'utf8').replace('charge.settled', 'charge.released'))
    const terminal = new FakeTerminal()
    expect(await run(['audit', 'verify', file], terminal)).toBe(1)
    expect(terminal.out).toBe('')
    expect(terminal.err)
      .toBe(`${file} is damaged: line 3 is not record 3: its hash does not match its content.
The records before it are unchanged; this record and those after it are not verified.
`)
  })

  it('prints either verdict as JSON', async () => {
    const good = new FakeTerminal()
    expect(await run(['audit', 'verify', file, '--json'], good)).toBe(0)
    expect(JSON.parse(good.out)).toEqual({
      file,
      files: [file],
      from: { ...EMPTY_HEAD, signed: false },
      checkpoints: { count: 0, unsigned: 4, keys: [] },
      ok: true,
      records: 4,
      head: { seq: 4, hash: lastHash },
      openIntents: ['chg_two'],
      torn: false,
    })
    writeFileSync(file, readFileSync(file, 'utf8').split('\n').slice(1).join('\n'))
    const bad = new FakeTerminal()
    expect(await run(['audit', 'verify', file, '--json'], bad)).toBe(1)
    expect(JSON.parse(bad.out)).toMatchObject({ file, ok: false, line: 1, seq: 1 })
    expect(bad.err).toBe('')
  })

  it('notes a torn last line and still takes the file for whole', async () => {
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"seq":5,`)
    const terminal = new FakeTerminal()
    expect(await run(['audit', 'verify', file], terminal)).toBe(0)
    expect(terminal.out).toContain('Note: the file ends in the middle of a line, after a crash')
  })

  it('ends with 2 where there is no file, without a stack trace', async () => {
    const terminal = new FakeTerminal()
    expect(await run(['audit', 'verify', `${file}.gone`], terminal)).toBe(2)
    expect(terminal.err).toBe(`There is no audit file ${file}.gone. Give the file that audit.path names.\n`)
  })

  it('ends with 1 for what the system refuses, without a stack trace', async () => {
    const directory = join(temporaryDirectory(), 'sub')
    mkdirSync(directory)
    const terminal = new FakeTerminal()
    expect(await run(['audit', 'verify', directory], terminal)).toBe(1)
    expect(terminal.err).toMatch(/^tollway failed: EISDIR: [^\n]*\n$/)
  })
})
