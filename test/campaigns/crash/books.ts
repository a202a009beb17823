/**
 * Reads the ledger from outside, by SQL of its own: the product's code is what is on trial, so none of it is asked. Opened for reading only,
 * because a writer would repair the log that the next gateway has to repair.
 */
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'

/** A charge, as far as the checks need it. Money in smallest units. */
export interface BookedCharge {
  readonly id: string
  readonly instance: string
  readonly request: string
  readonly state: string
  readonly proof: string | null
  readonly reason: string | null
  readonly amount: bigint
  readonly payTo: string
  readonly nonce: string | null
  readonly transaction: string | null
}

/** A budget's window. Money in micro-USD. */
export interface BookedWindow {
  readonly budget: string
  readonly subject: string
  readonly window: string
  readonly windowStart: number
  readonly spent: bigint
  readonly counted: bigint
}

/** What the trigger saw in a budget window: the highest sum at any commit. */
export interface Peak extends Omit<BookedWindow, 'spent' | 'counted'> {
  readonly peak: bigint
}

/** What a charge takes of a rolling budget. Money in micro-USD. */
export interface RollingShare {
  readonly budget: string
  /** When it was reserved, milliseconds since the epoch. */
  readonly at: number
  readonly amount: bigint
}

/** The ledger at one instant. */
export interface Snapshot {
  readonly charges: readonly BookedCharge[]
  /** Of the charges that count, oldest first. */
  readonly rolling: readonly RollingShare[]
  /** As the ledger keeps them. */
  readonly windows: readonly BookedWindow[]
  /** Added up anew from the charges. */
  readonly recomputed: readonly BookedWindow[]
  readonly peaks: readonly Peak[]
}

const COUNTED = "('held', 'authorized', 'settled', 'uncertain')"
const SUM = (alias: string): string =>
  ['spent', 'held', 'authorized', 'uncertain'].map((name) => `CAST(${alias}${name} AS INTEGER)`).join(' + ')

/** Sums of rolling budgets are kept per second, minute, hour and day: what each share counts in. */
const TAKEN = [
  `SELECT charge, budget, subject, amount, window AS kept, window_start AS began FROM shares WHERE window <> 'rolling'`,
  ...Object.entries({ second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 }).map(
    ([name, ms]) =>
      `SELECT charge, budget, subject, amount, 'rolling-${name}', window_start / ${ms} * ${ms} FROM shares WHERE window = 'rolling'`,
  ),
].join(' UNION ALL ')

/**
 * Adds a table and two triggers to a ledger that keep the highest sum of every budget window, at every statement any
 * process commits: what sampling could miss.
 */
export function watchPeaks(path: string): void {
  const db = new DatabaseSync(path)
  const keep = `BEGIN
    INSERT INTO campaign_peaks VALUES (NEW.budget, NEW.subject, NEW.window, NEW.window_start, ${SUM('NEW.')})
    ON CONFLICT DO UPDATE SET peak = max(peak, excluded.peak);
  END`
  try {
    db.exec(`PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE;
      CREATE TABLE campaign_peaks (budget TEXT, subject TEXT, window TEXT, window_start INTEGER, peak INTEGER,
        PRIMARY KEY (budget, subject, window, window_start)) STRICT, WITHOUT ROWID;
      CREATE TRIGGER campaign_insert AFTER INSERT ON totals ${keep};
      CREATE TRIGGER campaign_update AFTER UPDATE ON totals ${keep};
      COMMIT`)
  } finally {
    db.close()
  }
}

/** Reads everything in one transaction. */
export function readBooks(path: string): Snapshot {
  return reading(path, (db) => ({
    charges: db.prepare('SELECT * FROM charges ORDER BY id').all().map(toCharge),
    windows: db
      .prepare(`SELECT budget, subject, window, window_start, CAST(spent AS INTEGER) AS spent, ${SUM('')} AS counted
        FROM totals ORDER BY 1, 2, 3, 4`)
      .all()
      .map(toWindow),
    recomputed: db
      .prepare(
        `SELECT budget, subject, kept AS window, began AS window_start,
          SUM(CASE WHEN state = 'settled' THEN CAST(taken.amount AS INTEGER) ELSE 0 END) AS spent,
          SUM(CASE WHEN state IN ${COUNTED} THEN CAST(taken.amount AS INTEGER) ELSE 0 END) AS counted
        FROM (${TAKEN}) AS taken JOIN charges ON charges.id = taken.charge GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
      )
      .all()
      .map(toWindow),
    rolling: db
      .prepare(
        `SELECT budget, window_start, CAST(shares.amount AS INTEGER) AS amount
        FROM shares JOIN charges ON charges.id = shares.charge
        WHERE window = 'rolling' AND state IN ${COUNTED} ORDER BY budget, window_start`,
      )
      .all()
      .map((row) => ({
        budget: String(row['budget']),
        at: Number(row['window_start']),
        amount: BigInt(Number(row['amount'])),
      })),
    peaks: db
      .prepare('SELECT * FROM campaign_peaks')
      .all()
      .map((row) => ({ ...keyOf(row), peak: BigInt(Number(row['peak'])) })),
  }))
}

/** What a process left behind when it died. */
export interface Remains {
  /** `undefined` when it had not registered yet. */
  readonly instance: string | undefined
  readonly held: number
  readonly authorized: number
}

/** Looks at the charges of the process that had this id last. */
export function readRemains(path: string, pid: number, startedAfter: number): Remains {
  return reading(path, (db) => {
    const row = db
      .prepare('SELECT id FROM instances WHERE pid = ? AND started_at >= ? ORDER BY started_at DESC LIMIT 1')
      .get(pid, startedAfter)
    const instance = row && String(row['id'])
    if (instance === undefined) return { instance, held: 0, authorized: 0 }
    const count = (state: string, retired: string): number => {
      const found = db
        .prepare(
          `SELECT COUNT(*) AS n FROM charges WHERE instance = ? AND (state = ? OR (state = ? AND reason = 'instance_dead'))`,
        )
        .get(instance, state, retired)
      return Number(found?.['n'])
    }
    // The other gateway may have been quicker and have retired it already.
    return { instance, held: count('held', 'released'), authorized: count('authorized', 'uncertain') }
  })
}

function reading<T>(path: string, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    db.exec('PRAGMA busy_timeout = 5000; BEGIN')
    return work(db)
  } finally {
    db.close()
  }
}

type Row = Readonly<Record<string, SQLOutputValue>>

function toCharge(row: Row): BookedCharge {
  const nullable = (name: string): string | null => (row[name] === null ? null : String(row[name]))
  return {
    id: String(row['id']),
    instance: String(row['instance']),
    request: String(row['request_id']),
    state: String(row['state']),
    proof: nullable('proof'),
    reason: nullable('reason'),
    amount: BigInt(String(row['amount'])),
    payTo: String(row['pay_to']),
    nonce: nullable('nonce'),
    transaction: nullable('tx'),
  }
}

function toWindow(row: Row): BookedWindow {
  return { ...keyOf(row), spent: BigInt(Number(row['spent'])), counted: BigInt(Number(row['counted'])) }
}

function keyOf(row: Row): Omit<BookedWindow, 'spent' | 'counted'> {
  return {
    budget: String(row['budget']),
    subject: String(row['subject']),
    window: String(row['window']),
    windowStart: Number(row['window_start']),
  }
}
