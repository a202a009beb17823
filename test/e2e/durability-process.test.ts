/** Real failures under the real process: a file system that refuses, files that are not what they were. None needs root. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { openAuditFile } from '../../src/io/audit/audit-file.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { terms } from '../store/samples.ts'
import type { Child } from '../kit/child.ts'
import { startPatientSeller, type PatientSeller } from '../kit/fragile-gateway.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { readyUrl, servePlace, type ServePlace } from '../kit/serve-process.ts'

let seller: PatientSeller
let place: ServePlace
const children = new Set<Child>()

beforeAll(async () => {
  seller = await startPatientSeller()
})

beforeEach(() => {
  place = servePlace(`
model_list:
  - { model_name: "paid/*", model: "*", api_base: "${seller.apiBase}", payer: base }
  - { model_name: free, api_base: "${seller.url}/free/v1" }
budgets: [{ name: all, limit_usd: "1.00", window: lifetime }]
`)
})

afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    await child.end()
  }
  children.clear()
  chmodSync(place.directory, 0o700)
  place.remove()
})

afterAll(async () => {
  await seller?.close()
})

function start(wrapper: readonly string[] = []): Child {
  const child = place.start({ wrapper })
  children.add(child)
  return child
}

async function stop(child: Child): Promise<number | null> {
  child.kill('SIGTERM')
  return (await child.end()).code
}

/** What `tollway serve` says when it does not start; in this process, because nothing runs on. */
async function refusal(): Promise<{ code: number; stdout: string; stderr: string }> {
  const name = `DURABILITY_WALLET_${randomUUID().replaceAll('-', '')}`
  const config = join(place.directory, 'refused.yaml')
  writeFileSync(config, readFileSync(place.config, 'utf8').replace('SERVE_WALLET', name))
  const terminal = new FakeTerminal({ [name]: localAccounts().buyer.privateKey })
  process.env[name] = localAccounts().buyer.privateKey
  const code = await run(['serve', '--config', config], terminal)
  return { code, stdout: terminal.out, stderr: terminal.err }
}

const pay = async (url: string): Promise<[number, string]> => {
  const answer = await ask(url, { model: 'paid/m', user: randomUUID() })
  return [answer.status, answer.status === 200 ? 'paid' : (await errorOf(answer)).code]
}
const free = async (url: string): Promise<number> => (await ask(url, { model: 'free' })).status
const readiness = async (url: string): Promise<string> => {
  const { status, reason } = (await (await fetch(`${url}/health/ready`)).json()) as {
    status: string
    reason?: string
  }
  return reason ?? status
}

/** Every write behind this offset of any file fails from now on, as on a full disk. */
function limitFiles(child: Child, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(child.pid), `--fsize=${bytes}:`])
}

async function makeLedger(charges: number): Promise<void> {
  await place.withLedger(async (store) => {
    await Promise.all(Array.from({ length: charges }, (_, n) => store.reserve(terms(n), [], false)))
  })
}

describe('a disk that takes no more bytes', () => {
  test('rule 9: closes paid routes of a running process while unpaid ones keep working, and they open again when there is room', async () => {
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    const { paid } = seller.counts()
    limitFiles(child, 1)
    expect(await pay(url)).toEqual([503, 'store_unavailable'])
    expect(await pay(url)).toEqual([503, 'store_unavailable'])
    expect(seller.counts().paid).toBe(paid)
    expect([await free(url), await readiness(url)]).toEqual([200, 'store_unavailable'])
    limitFiles(child, 'unlimited')
    expect(await pay(url)).toEqual([200, 'paid'])
    expect(await readiness(url)).toBe('ok')
    expect(await stop(child)).toBe(0)
    expect(await verifyAudit(place.audit)).toMatchObject({ ok: true, openIntents: [] })
  })

  test('does so too when only the audit file has no room, and the books are whole afterwards', async () => {
    await makeLedger(0)
    const audit = await openAuditFile({ path: place.audit, clock: { now: () => 0 }, instance: 'ins_before' })
    // Longer than the ledger's log ever gets: so a limit can hit the one and not the other.
    for (let n = 0; n < 8; n += 1) await audit.append('note', { text: 'x'.repeat(1_000_000) })
    await audit.close()
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    const held = seller.hold()
    const inFlight = pay(url)
    await held.arrived
    const { paid } = seller.counts()
    limitFiles(child, statSync(place.audit).size)
    held.answer()
    expect(await inFlight).toEqual([200, 'paid'])
    expect(await pay(url)).toEqual([503, 'audit_unavailable'])
    expect(await pay(url)).toEqual([503, 'audit_unavailable'])
    expect(seller.counts().paid).toBe(paid)
    expect([await free(url), await readiness(url)]).toEqual([200, 'audit_unavailable'])
    limitFiles(child, 'unlimited')
    expect(await pay(url)).toEqual([200, 'paid'])
    expect(await stop(child)).toBe(0)
    expect(await verifyAudit(place.audit)).toMatchObject({ ok: true, openIntents: [] })
    expect(await place.withLedger((store) => store.sum('settled'))).toEqual({ count: 3, microUsd: 3000n })
  })

  test('does not let a gateway start: /dev/full as its audit file', async () => {
    symlinkSync('/dev/full', place.audit)
    const { code, stderr } = await start().end()
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^The audit file cannot be written: ENOSPC\.\n$/),
    ])
  })
})

describe('a directory that cannot be written', () => {
  /** Root is not held up by permissions unless it lets go of that right. */
  const mortal =
    process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'] : []

  test('does not let a gateway start, and says what to do', async () => {
    chmodSync(place.directory, 0o500)
    const { code, stderr } = await start(mortal).end()
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /store: The ledger .* cannot be created \(EACCES\)\.[\s\S]*audit\.jsonl cannot be opened \(EACCES\)\. Create its directory and allow Tollway to write/,
    )
    chmodSync(place.directory, 0o700)
    const config = readFileSync(place.config, 'utf8')
    const apart = join(place.directory, 'ledger')
    mkdirSync(apart, { mode: 0o500 })
    writeFileSync(place.config, config.replace('sqlite:./tollway.db', 'sqlite:./ledger/tollway.db'))
    const second = await start(mortal).end()
    expect(second.code).toBe(2)
    expect(second.stderr).toMatch(
      /tollway\.db cannot be created \(EACCES\)\. Allow Tollway to write to .*\/ledger/,
    )
    chmodSync(apart, 0o700)
  })

  test('changes nothing for a gateway that has its files open', async () => {
    const child = start(mortal)
    const url = await readyUrl(child)
    chmodSync(place.directory, 0o500)
    expect(await pay(url)).toEqual([200, 'paid'])
    expect(await readiness(url)).toBe('ok')
    chmodSync(place.directory, 0o700)
    expect(await stop(child)).toBe(0)
  })
})

describe('a ledger that is not what it was', () => {
  const cases: { name: string; make: () => void; says: RegExp }[] = [
    {
      name: 'is not a database',
      make: () => writeFileSync(place.ledger, 'not a database '.repeat(1000)),
      says: /tollway\.db is damaged or not a ledger\. Restore it from a backup/,
    },
    {
      name: 'was cut short',
      make: () => truncateSync(place.ledger, 20_480),
      says: /tollway\.db is damaged or not a ledger\. Restore it from a backup/,
    },
    {
      name: 'has damaged pages',
      make: () => {
        const bytes = readFileSync(place.ledger)
        writeFileSync(place.ledger, bytes.fill(0x5a, bytes.length - 40_000, bytes.length - 4096))
      },
      says: /tollway\.db is damaged .* it would not know what was spent/,
    },
    {
      name: "is another program's database",
      make: () => {
        rmSync(place.ledger)
        const db = new DatabaseSync(place.ledger)
        db.exec('CREATE TABLE notes (a); PRAGMA user_version = 1')
        db.close()
      },
      says: /tollway\.db is the database of another program\. Set store to a file that only/,
    },
    {
      name: 'is of a newer Tollway',
      make: () => {
        const db = new DatabaseSync(place.ledger)
        db.exec('PRAGMA user_version = 9999')
        db.close()
      },
      says: /tollway\.db was written by a newer Tollway \(schema 9999; .*Run the newer/,
    },
    {
      name: 'is empty',
      make: () => truncateSync(place.ledger, 0),
      says: /tollway\.db is empty: what it recorded is lost\. Restore it from a backup/,
    },
  ]

  test.each(cases)('$name: it is refused and left as it is', async ({ make, says }) => {
    await makeLedger(200)
    make()
    const before = readFileSync(place.ledger)
    const { code, stderr, stdout } = await refusal()
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(says)
    expect(stderr).not.toMatch(/\n\s+at /)
    expect(readFileSync(place.ledger).equals(before)).toBe(true)
  })

  test('deleted under a running gateway: paid routes close, and no new ledger is begun beside the old audit file', async () => {
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    const { paid } = seller.counts()
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${place.ledger}${suffix}`)
    expect(await pay(url)).toEqual([503, 'store_unavailable'])
    expect(await pay(url)).toEqual([503, 'store_unavailable'])
    expect([await free(url), await readiness(url), seller.counts().paid]).toEqual([
      200,
      'store_unavailable',
      paid,
    ])
    expect(await stop(child)).toBe(1)
    const again = await refusal()
    expect(again.code).toBe(2)
    expect(again.stderr).toMatch(
      /tollway\.db is missing, but the audit file .*audit\.jsonl has records: a new ledger would/,
    )
    expect(existsSync(place.ledger)).toBe(false)
  })

  test('deleted together with its audit file it is a first start', async () => {
    const child = start()
    await readyUrl(child)
    await stop(child)
    for (const file of [place.ledger, place.audit]) rmSync(file)
    const again = start()
    expect(await pay(await readyUrl(again))).toEqual([200, 'paid'])
    expect(await stop(again)).toBe(0)
  })
})

describe('an audit file', () => {
  test('deleted under a running gateway: its chain continues in a new file, over a restart', async () => {
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    rmSync(place.audit)
    expect(await readiness(url)).toBe('ok')
    expect(await pay(url)).toEqual([200, 'paid'])
    await stop(child)
    const again = start()
    expect(await pay(await readyUrl(again))).toEqual([200, 'paid'])
    expect(await stop(again)).toBe(0)
    expect(readFileSync(place.audit, 'utf8').split('\n')[0]).toContain('"why":"deleted"')
    // The chain is whole, and says at the start that what was deleted is missing.
    expect(await verifyAudit(place.audit)).toMatchObject({ ok: false, kind: 'truncated' })
    expect(await place.withLedger((store) => store.sum('settled'))).toMatchObject({ count: 3 })
  })

  test('moved under a running gateway, with its lock file deleted: one chain, and no second gateway', async () => {
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    const old = `${place.audit}.1`
    renameSync(place.audit, old)
    rmSync(`${place.audit}.lock`)
    expect((await refusal()).stderr).toMatch(/is being written by process/)
    expect(await pay(url)).toEqual([200, 'paid'])
    expect(await stop(child)).toBe(0)
    expect(await verifyAudit([old, place.audit])).toMatchObject({ ok: true, openIntents: [] })
  })

  test.each([
    ['in the record of the request', 'request'],
    ['in that of the settlement', 'charge.settled'],
  ])('cut short %s closes paid routes; the cut is told at the restart', async (_where, type) => {
    const child = start()
    const url = await readyUrl(child)
    expect(await pay(url)).toEqual([200, 'paid'])
    // The request is recorded when its answer has ended, which may be after the client has it.
    const text = (): string => readFileSync(place.audit, 'utf8')
    await expect.poll(text).toContain('"type":"request"')
    const copy = join(dirname(place.audit), 'copy.jsonl')
    // The ledger notes the last record soon after the payment.
    const lastSeq = (): number => readFileSync(place.audit, 'utf8').trimEnd().split('\n').length
    const noted = async (): Promise<number | undefined> =>
      await place.withLedger(async (store) => (await store.auditHeads())[0]?.seq)
    await expect.poll(async () => (await noted()) === lastSeq(), { timeout: 25_000 }).toBe(true)
    copyFileSync(place.audit, copy)
    const cut = text()
      .split('\n')
      .findIndex((line) => line.includes(`"type":"${type}"`))
    const whole = text()
      .split('\n')
      .slice(0, cut + 1)
      .join('\n')
    truncateSync(place.audit, Buffer.byteLength(whole) - 10)
    expect(await pay(url)).toEqual([503, 'audit_unavailable'])
    expect(await free(url)).toBe(200)
    await stop(child)
    const again = start()
    expect(await pay(await readyUrl(again))).toEqual([200, 'paid'])
    expect(await stop(again)).toBe(0)
    expect(await verifyAudit(place.audit)).toMatchObject({ ok: false, kind: 'truncated' })
    expect(text()).toContain('"type":"audit.repaired"')
    // The copy kept elsewhere shows what the cut took: its last record is not in the file.
    const hashes = (content: string): unknown[] =>
      content
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { hash: string }).hash)
    expect(hashes(text())).not.toContain(hashes(readFileSync(copy, 'utf8')).at(-1))
  })
})
