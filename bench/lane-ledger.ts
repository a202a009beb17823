import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../src/core/clock.ts'
import { openAuditFile } from '../src/io/audit/audit-file.ts'
import type { AuditSink } from '../src/io/audit/audit-queue.ts'
import { thisInstance } from '../src/io/ledger/instance.ts'
import { Ledger } from '../src/io/ledger/ledger.ts'
import { openStore } from '../src/io/ledger/open-store.ts'
import { timed } from './interleave.ts'
import { LEDGERS, round, type Result } from './result.ts'
import { WORK_DIRECTORY } from './work-directory.ts'

type Books = (typeof LEDGERS)[number]

const ROUNDS = 3
const CONCURRENCIES = [1, 32]
const CELL_MS = 1_000
const FSYNCS = 200
const PAGE = Buffer.alloc(4096, 1)

/** How many charges a second the books take from reservation to settlement, all against one budget. */
export async function measureLedger(): Promise<Pick<Result, 'ledger' | 'fsyncMs'>> {
  const directory = await mkdtemp(WORK_DIRECTORY)
  try {
    const fsyncMs = await measureFsync(join(directory, 'fsync'))
    const ledger: Result['ledger'] = []
    for (let index = 0; index < ROUNDS; index += 1) {
      for (const books of LEDGERS) {
        for (const concurrency of CONCURRENCIES) {
          ledger.push(await measureBooks(await mkdtemp(join(directory, 'books-')), books, concurrency))
        }
      }
    }
    return { fsyncMs, ledger }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function measureFsync(path: string): Promise<number[]> {
  const file = await open(path, 'a')
  try {
    const samples = await timed(FSYNCS, async () => {
      await file.write(PAGE)
      await file.sync()
    })
    return samples.map(round)
  } finally {
    await file.close()
  }
}

async function measureBooks(
  directory: string,
  books: Books,
  concurrency: number,
): Promise<Result['ledger'][number]> {
  const clock = systemClock
  const instance = thisInstance(clock)
  const ledger = await Ledger.open({
    store: await openStore(books === 'memory' ? 'memory' : `sqlite:${join(directory, 'tollway.db')}`),
    audit:
      books === 'sqlite and audit file'
        ? await openAuditFile({ path: join(directory, 'audit.jsonl'), clock, instance: instance.id })
        : noAudit,
    clock,
    random: randomBytes,
    instance,
    observers: [],
  })
  try {
    await chargeUntil(ledger, concurrency, performance.now() + CELL_MS / 5)
    const startedAt = performance.now()
    const charges = await chargeUntil(ledger, concurrency, startedAt + CELL_MS)
    return { books, concurrency, charges, ms: round(performance.now() - startedAt) }
  } finally {
    await ledger.close()
  }
}

/** Charges a second that an existing ledger takes, so many at a time; one figure per round. */
export async function chargesPerSecond(path: string, concurrency: number, rounds: number): Promise<number[]> {
  const clock = systemClock
  const ledger = await Ledger.open({
    store: await openStore(`sqlite:${path}`),
    audit: noAudit,
    clock,
    random: randomBytes,
    instance: thisInstance(clock),
    observers: [],
  })
  try {
    const figures: number[] = []
    await chargeUntil(ledger, concurrency, performance.now() + CELL_MS)
    for (let index = 0; index < rounds; index += 1) {
      const startedAt = performance.now()
      const charges = await chargeUntil(ledger, concurrency, startedAt + CELL_MS)
      figures.push(round((charges * 1000) / (performance.now() - startedAt)))
    }
    return figures
  } finally {
    await ledger.close()
  }
}

const noAudit: AuditSink = { append: () => Promise.resolve(), close: () => Promise.resolve() }

/** Charges one after the other in each of so many workers until the deadline; tells how many there were. */
async function chargeUntil(ledger: Ledger, concurrency: number, deadline: number): Promise<number> {
  let charges = 0
  const worker = async (): Promise<void> => {
    while (performance.now() < deadline) {
      await chargeOnce(ledger)
      charges += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return charges
}

async function chargeOnce(ledger: Ledger): Promise<void> {
  const held = await ledger.reserve(
    {
      requestId: 'req_bench',
      caller: 'anonymous',
      model: 'paid/sandbox-small',
      route: 'paid/*',
      payer: 'base',
      seller: 'https://seller.example.com',
      apiBase: 'https://seller.example.com/v1',
      network: 'eip155:84532',
      asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
      symbol: 'USDC',
      decimals: 6,
      payTo: '0x00000000000000000000000000000000000000aa',
      amount: 1_000n,
      microUsd: 1_000n,
    },
    [{ name: 'all', limit: 1_000_000_000_000n, window: 'day', timezone: 'UTC' }],
    true,
  )
  const authorized = await ledger.authorize(held, {
    from: '0x00000000000000000000000000000000000000bb',
    nonce: `0x${randomBytes(32).toString('hex')}`,
    validAfter: 0,
    validBefore: Math.floor(held.reservedAt / 1000) + 60,
  })
  const settled = await ledger.settle(authorized, 'receipt', `0x${randomBytes(32).toString('hex')}`)
  if (settled.state !== 'settled') throw new Error(`a charge ended as ${settled.state}`)
}
