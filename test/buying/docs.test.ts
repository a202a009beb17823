/** docs/buying.md: every block is executed, in its order. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { openShop, type Shop } from '../kit/buying.ts'
import { ask, startGateway } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/buying.md'), 'utf8')

let world: World
let shop: Shop

beforeAll(async () => {
  world = await startWorld({ blockTimeSeconds: 0 })
  shop = openShop(world.chain)
})
afterAll(async () => {
  shop?.remove()
  await world?.close()
})

function block(marker: string): string {
  const found = blocksOf(page).find((one) => one.marker === marker)
  if (!found) throw new Error(`docs/buying.md has no block ${marker}`)
  return found.text
}

/** The configuration of a block, in a directory and on a chain of the test. */
function settings(marker: string): Record<string, unknown> {
  const text = block(marker)
    .replaceAll('./tollway.db', join(shop.directory, 'docs.db'))
    .replaceAll('./wallet.key', join(shop.directory, 'key'))
    .replaceAll('http://127.0.0.1:8545', world.chain.rpcUrl)
  return { audit: { path: join(shop.directory, 'docs.jsonl') }, ...(parse(text) as object) }
}

/** Runs the lines of a block; words in single quotes are one. */
async function runLines(marker: string, seller: string): Promise<string[]> {
  const config = shop.write('docs.yaml', settings('config'))
  const outputs: string[] = []
  for (const line of block(marker).trimEnd().split('\n')) {
    const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain = '']) => quoted ?? plain)
    const args = words.map((word) =>
      word
        .replace('https://seller.example.com/v1', seller)
        .replace(/^(?:\.\/|(?=answer))/, `${shop.directory}/`),
    )
    expect(args[0]).toBe('tollway')
    const ended = await shop.tollway(...args.slice(1), '--config', config)
    expect([line, ended.code, ended.code === 0 ? '' : ended.err]).toEqual([line, 0, ''])
    outputs.push(ended.out)
  }
  return outputs
}

test('config and commands: each line does what it says', async () => {
  const outputs = await runLines('commands', world.streamingSeller.apiBase)
  const [probed, , bought, listed, , refilled, , balance, removed] = outputs
  expect(probed).toContain('asks for payment')
  expect(existsSync(join(shop.directory, 'answer.json'))).toBe(true)
  expect(bought).toContain('Signed 10 of 10')
  expect(listed).toMatch(/qwen +qwen3\.5:9b +10/)
  expect(refilled).toMatch(/refilled +5 +15/)
  expect(balance).toContain('USDC')
  expect(removed).toContain('will be removed when its vouchers are used up: 15 are left')
})

test('keyless: a gateway spends what was bought without a key', async () => {
  const gateway = await startGateway(settings('keyless'))
  try {
    const answer = await ask(gateway.url, { model: 'paid/qwen3.5:9b' })
    expect([answer.status, answer.headers.get('x-tollway-payer')]).toEqual([200, 'bought'])
  } finally {
    await gateway.close()
  }
})

test('emit: files for x402-buyer and for a cluster', async () => {
  const config = shop.write('docs.yaml', settings('config'))
  expect((await shop.tollway('remove', 'qwen', '--now', '--config', config)).code).toBe(0)
  await runLines('emit', world.streamingSeller.apiBase)
  const paths = ['buyer/config/qwen.json', 'buyer/auths/qwen.json', 'manifests/team.yaml']
  expect(paths.filter((path) => !existsSync(join(shop.directory, path)))).toEqual([])
})
