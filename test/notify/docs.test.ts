/** docs/notify.md: its configuration is valid, and its receiver knows our messages from others. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../src/app/config/load.ts'
import { webhookHeaders } from '../../src/io/webhook/sign-webhook.ts'
import { blocksOf } from '../kit/markdown.ts'

const page = readFileSync(new URL('../../docs/notify.md', import.meta.url), 'utf8')
const block = (name: string): string => blocksOf(page).find(({ marker }) => marker === name)?.text ?? ''
const SECRET = 'a-secret-of-the-tests'

test('the configuration is valid', () => {
  const { notify } = parseConfig(parse(block('notify')) as object, { NOTIFY_SECRET: SECRET })
  expect(notify?.levels).toEqual([500_000n, 800_000n, 1_000_000n])
})

test('the receiver takes what we sign now, and nothing changed, old, unsigned or of another secret', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'receiver.mjs')
  writeFileSync(file, block('receiver'))
  const { isFromTollway } = (await import(pathToFileURL(file).href)) as {
    readonly isFromTollway: (headers: Record<string, string>, body: string, secret: string) => boolean
  }
  const body = JSON.stringify(JSON.parse(block('message')))
  const now = Date.now()
  const headers = webhookHeaders('msg_1', now, body, SECRET)
  expect(isFromTollway(headers, body, SECRET)).toBe(true)
  expect(isFromTollway(headers, `${body} `, SECRET)).toBe(false)
  expect(isFromTollway({ ...headers, 'webhook-id': 'msg_2' }, body, SECRET)).toBe(false)
  expect(isFromTollway({}, body, SECRET)).toBe(false)
  expect(isFromTollway(headers, body, 'another-secret-of-tests')).toBe(false)
  expect(isFromTollway(webhookHeaders('msg_1', now - 600_000, body, SECRET), body, SECRET)).toBe(false)
})
