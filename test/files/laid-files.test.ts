/** Links and files that somebody laid in a directory that others may write to: nothing of ours goes where they lead. */
import * as nodeFs from 'node:fs'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startNextFile } from '../../src/io/audit/audit-rotate.ts'
import { EMPTY_HEAD } from '../../src/io/audit/audit-record.ts'
import { backUp } from '../../src/io/files/back-up.ts'
import { replaceFile } from '../../src/io/files/replace-file.ts'

let directory: string
let victim: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-laid-'))
  victim = join(directory, 'victim')
  writeFileSync(victim, 'untouched')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const at = (name: string): string => join(directory, name)

describe('a secret', () => {
  test('goes into no file that was there before, whatever its draft might be called', () => {
    const mine = at('wallet.password')
    for (const name of [`${mine}.${process.pid}.tmp`, `${mine}.tmp`]) symlinkSync(victim, name)
    replaceFile(mine, 'secret', 0o600)
    expect(readFileSync(mine, 'utf8')).toBe('secret')
    expect(statSync(mine).mode & 0o777).toBe(0o600)
    expect(readFileSync(victim, 'utf8')).toBe('untouched')
  })

  test('leaves no draft behind, also where it could not be written', () => {
    expect(() => replaceFile(join(victim, 'below-a-file'), 'secret', 0o600)).toThrow(/ENOTDIR|EEXIST/)
    nodeFs.mkdirSync(at('a-directory'))
    expect(() => replaceFile(at('a-directory'), 'secret', 0o600)).toThrow(/EISDIR|ENOTEMPTY|EEXIST/)
    expect(readdirSync(directory).toSorted()).toEqual(['a-directory', 'victim'])
  })

  test('keeps the link that a person made, and replaces what it leads to', () => {
    symlinkSync(victim, at('link'))
    replaceFile(at('link'), 'new', 0o600)
    expect(readFileSync(victim, 'utf8')).toBe('new')
    expect(nodeFs.lstatSync(at('link')).isSymbolicLink()).toBe(true)
  })
})

test('a backup is a new file: it is not written through a link', () => {
  writeFileSync(at('config'), 'config')
  const clock = { now: () => Date.parse('2026-11-30T00:00:00.000Z') }
  symlinkSync(at('not-there'), at('config.2026-11-30T00-00-00-000Z.bak'))
  expect(() => backUp(at('config'), clock)).toThrow('EEXIST')
  expect(readdirSync(directory)).not.toContain('not-there')
})

test('the next audit file is not written through a link', () => {
  writeFileSync(at('audit.jsonl'), '')
  symlinkSync(victim, at('audit.jsonl.next'))
  expect(() => startNextFile(nodeFs, at('audit.jsonl'), EMPTY_HEAD, 0, undefined)).toThrow('ELOOP')
  expect(readFileSync(victim, 'utf8')).toBe('untouched')
  expect(statSync(at('audit.jsonl')).size).toBe(0)
})
