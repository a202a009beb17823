/** A gateway whose ledger and audit file can be made to fail while it runs, with a seller that can be made to wait. */
import { randomUUID } from 'node:crypto'
import nodeFs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { vi } from 'vitest'
import type { GatewayOverrides } from '../../src/app/gateway/gateway.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import { cash, type CashProvider } from '../../providers/cash.ts'
import { ask, startGateway, type TestGateway } from './gateway.ts'
import {
  startScriptedSeller,
  type ScriptedSeller,
  type SellerHandler,
  type SellerRequest,
} from './scripted-seller.ts'
import { challengeV2, json, OFFER, RECEIPT, receiptV2, type Answer } from './seller-answers.ts'
import { held } from './seller-faults.ts'

/** A seller that answers everything that is paid, and for free below `/free`. */
export interface PatientSeller extends ScriptedSeller {
  /** How many requests came without and with a payment, those below `/free` left out. */
  counts(): { asked: number; paid: number }
  /** Until `answer` is called, paid requests wait; `arrived` resolves with the first. */
  hold(): { readonly arrived: Promise<void>; readonly answer: () => void }
}

/** Starts a {@link PatientSeller}. */
export async function startPatientSeller(): Promise<PatientSeller> {
  let settled = 0
  // Each payment has a transaction of its own.
  const answer = (): Answer => {
    settled += 1
    const transaction = `0x${settled.toString(16).padStart(64, '0')}`
    return json({ choices: [{ message: { content: 'yes' } }] }, receiptV2({ ...RECEIPT, transaction }))
  }
  const isFree = ({ url }: SellerRequest): boolean => url.startsWith('/free')
  let paid: SellerHandler = answer
  const seller = await startScriptedSeller((request, response) => {
    if (isFree(request)) return json({ free: true })
    return request.payment === undefined ? challengeV2([OFFER]) : paid(request, response)
  })
  return Object.assign(seller, {
    counts: () => ({
      asked: seller.questions.filter((request) => !isFree(request)).length,
      paid: seller.payments.length,
    }),
    hold: () => {
      const { step, arrived, release } = held(json({}))
      paid = async (request, response) => {
        await step(request, response)
        return answer()
      }
      return { arrived, answer: release }
    },
  })
}

/** The configuration of a gateway in front of one: `paid/*`, `free` and everything unclaimed. */
export function configFor(seller: ScriptedSeller): object {
  process.env['FRAGILE_WALLET'] = localAccounts().buyer.privateKey
  const free = `${seller.url}/free/v1`
  return {
    payers: { base: { kind: 'direct', key: '${env:FRAGILE_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'free', api_base: free },
    ],
    upstream: { api_base: free },
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
  }
}

/** A gateway under test whose disk obeys. */
export interface FragileGateway extends TestGateway {
  readonly seller: PatientSeller
  readonly payer: CashProvider
  readonly ledgerPath: string
  readonly auditPath: string
  /** The ledger's own connection. */
  readonly db: Connection
  /** Replaces the ledger's statements of one kind, such as `COMMIT`, by an error with this SQLite result code. */
  failStatement(sql: string, errcode: number): void
  /** Lets the audit file's writes or syncs fail as the system would say it. */
  failAudit(call: 'write' | 'sync', code: string): void
  /** Ends every fault begun by the two above. */
  mend(): void
  /** Asks for a paid completion with a body of its own. */
  pay(): Promise<Response>
}

/** Starts a {@link FragileGateway}. */
export async function startFragileGateway(overrides: GatewayOverrides = {}): Promise<FragileGateway> {
  const directory = await mkdtemp(join(tmpdir(), 'tollway-fragile-'))
  const [ledgerPath, auditPath] = [join(directory, 'tollway.db'), join(directory, 'audit.jsonl')]
  const seller = await startPatientSeller()
  const payer = cash()
  let fault: { sql: string; errcode: number } | undefined
  let opened: Connection | undefined
  const connect = (path: string): Connection => {
    const db = new DatabaseSync(path)
    const exec = db.exec.bind(db)
    db.exec = (sql) => {
      if (sql === fault?.sql) throw Object.assign(new Error('a broken disk'), { errcode: fault.errcode })
      exec(sql)
    }
    opened = db
    return db
  }
  const tollway = await startGateway(
    { ...configFor(seller), store: `sqlite:${ledgerPath}`, audit: { path: auditPath } },
    {
      payers: new Map([['base', payer]]),
      wrapStore: (store) => {
        void store.close()
        return openSqliteStore({ path: ledgerPath, busyTimeoutMs: 100, connect })
      },
      ...overrides,
    },
  )
  const db = opened
  if (!db) throw new Error('the ledger was not opened')
  return {
    ...tollway,
    seller,
    payer,
    ledgerPath,
    auditPath,
    db,
    failStatement(sql, errcode) {
      fault = { sql, errcode }
    },
    failAudit: (call, code) => failFile(auditPath, call, code),
    mend() {
      fault = undefined
      vi.restoreAllMocks()
    },
    pay: () => ask(tollway.url, { model: 'paid/m', user: randomUUID() }),
    async close() {
      fault = undefined
      vi.restoreAllMocks()
      try {
        await tollway.close()
      } finally {
        await seller.close()
        await rm(directory, { recursive: true, force: true })
      }
    },
  }
}

/** Lets one open file fail, and no other. */
function failFile(path: string, call: 'write' | 'sync', code: string): void {
  const { ino } = nodeFs.statSync(path)
  const isIt = (fd: number): boolean => nodeFs.fstatSync(fd).ino === ino
  const error = (): Error => Object.assign(new Error(code), { code, syscall: call })
  if (call === 'write') {
    const write = nodeFs.writeSync.bind(nodeFs) as (fd: number, ...rest: unknown[]) => number
    vi.spyOn(nodeFs, 'writeSync').mockImplementation((fd: number, ...rest: unknown[]) => {
      if (isIt(fd)) throw error()
      return write(fd, ...rest)
    })
  } else {
    const sync = nodeFs.fdatasync.bind(nodeFs)
    vi.spyOn(nodeFs, 'fdatasync').mockImplementation((fd: number, done: (error: Error | null) => void) => {
      if (isIt(fd)) setImmediate(() => done(error()))
      else sync(fd, done)
    })
  }
}
