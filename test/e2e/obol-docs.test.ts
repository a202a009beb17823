/** Executes every block of docs/obol.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MAIN } from '../kit/program.ts'
import { Child, run } from '../kit/child.ts'
import { blocksOf, substitute } from '../kit/markdown.ts'
import { buyerFiles, signAuths, upstreamFile, type BuyerFiles } from '../kit/obol-pool.ts'
import { readyUrl } from '../kit/serve-process.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/obol.md'), 'utf8')
const payTo = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const env = { PATH: process.env['PATH'], NO_COLOR: '1' }

let files: BuyerFiles
beforeEach(async () => {
  files = buyerFiles()
  const upstream = upstreamFile({ url: 'https://seller.example.com/services/qwen', payTo, model: 'qwen' })
  files.write('remote-qwen', upstream, await signAuths(3, { payTo }))
})
afterEach(() => files.remove())

function block(marker: string): string {
  const found = blocksOf(page).find((candidate) => candidate.marker === marker)
  if (!found) throw new Error(`docs/obol.md has no block marked <!-- ${marker} -->`)
  return found.text
}

test('the command serves the directories it names, with ledger and audit file beside the state file', async () => {
  const [name, ...args] = substitute(block('serve').trim(), ':8402', ':0').split(' ')
  expect(name).toBe('tollway')
  const child = new Child(process.execPath, [MAIN, ...args], { cwd: files.directory, env })
  try {
    const url = await readyUrl(child)
    expect(await (await fetch(`${url}/status`)).json()).toMatchObject({
      'remote-qwen': { remaining: 3, spent: 0 },
    })
    child.kill('SIGTERM')
    expect((await child.end()).code).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
  for (const beside of ['tollway.db', 'audit.jsonl']) {
    expect(readFileSync(join(files.directory, beside)).length, beside).toBeGreaterThan(0)
  }
})

test('the configuration is right as it stands', async () => {
  writeFileSync(join(files.directory, 'tollway.yaml'), block('config'))
  const { code, stderr } = await run(process.execPath, [MAIN, 'check'], { cwd: files.directory, env })
  expect([code, stderr]).toEqual([0, ''])
})
