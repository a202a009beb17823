/**
 * Writes a ledger with a long history, through the schema of this version. The charges are spread evenly over 60 days that end
 * now: 5 % are uncertain, 1 % released, the others settled. The sums are built by Tollway when it opens the ledger, as they are for
 * a ledger of an older version.
 */
import { DatabaseSync } from 'node:sqlite'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'

const DAYS = 60
const DAY_MS = 86_400_000
/** Charges per transaction. */
const STEP = 100_000

/** What the histories have in common, so that they can be asked the same questions. */
export const HISTORY = {
  sellers: 10,
  callers: 8,
  /** The caller of a gateway without callers has a share too. */
  anonymous: 'anonymous',
  budget: 'all',
} as const

/**
 * @param charges whole number from 1
 * @param now milliseconds since the epoch; the newest charge is a moment older
 */
export async function generateHistory(path: string, charges: number, now: number): Promise<void> {
  await openSqliteStore({ path }).close()
  const db = new DatabaseSync(path)
  try {
    db.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -262144')
    const insert = db.prepare(CHARGES)
    const stepMs = (DAYS * DAY_MS) / charges
    for (let from = 0; from < charges; from += STEP) {
      db.exec('BEGIN')
      insert.run({ from, to: Math.min(charges, from + STEP), first: now - DAYS * DAY_MS, step: stepMs })
      db.exec('COMMIT')
    }
    for (const statement of FOLLOWERS) db.exec(statement)
  } finally {
    db.close()
  }
}

const CHARGES = `
  WITH RECURSIVE n (i) AS (SELECT CAST(:from AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :to)
  INSERT INTO charges (id, instance, request_id, caller, model, route, payer, seller, api_base, network, asset, symbol,
    decimals, pay_to, amount, micro_usd, reserved_at, lease_until, state, proof, from_address, nonce, valid_after,
    valid_before, tx, reason, updated_at, method, remote_model, tags)
  SELECT printf('chg_%024d', i), 'ins_history', printf('req_%d', i),
    CASE i % ${HISTORY.callers} WHEN 0 THEN '${HISTORY.anonymous}' ELSE printf('caller-%d', i % ${HISTORY.callers}) END,
    printf('paid/model-%d', i % 5), 'paid/*', CASE i % 3 WHEN 0 THEN 'base' ELSE 'other' END,
    printf('https://seller-%d.example.com', i % ${HISTORY.sellers}),
    printf('https://seller-%d.example.com/v1', i % ${HISTORY.sellers}), 'eip155:84532',
    '0x036cbd53842c5426634e7929541ec2318f3dcf7e', 'USDC', 6, '0x00000000000000000000000000000000000000aa',
    CAST(1000 + i % 977 AS TEXT), CAST(1000 + i % 977 AS TEXT), CAST(:first + i * :step AS INTEGER),
    CAST(:first + i * :step AS INTEGER) + 30000,
    CASE WHEN i % 20 = 7 THEN 'uncertain' WHEN i % 100 = 99 THEN 'released' ELSE 'settled' END,
    CASE WHEN i % 20 = 7 OR i % 100 = 99 THEN NULL WHEN i % 2 = 0 THEN 'chain' ELSE 'receipt' END,
    '0x00000000000000000000000000000000000000bb', '0x' || lower(hex(randomblob(32))), 0,
    CAST((:first + i * :step) / 1000 AS INTEGER) + 60,
    CASE WHEN i % 20 = 7 OR i % 100 = 99 THEN NULL ELSE '0x' || lower(hex(randomblob(32))) END, 'receipt',
    CAST(:first + i * :step AS INTEGER) + 900, 'eip3009', printf('model-%d', i % 5),
    CASE i % 4 WHEN 0 THEN '["agent:coder"]' WHEN 1 THEN '["agent:writer"]' END
  FROM n`

/** One budget of a day over everything, and the tokens of the answers. */
const FOLLOWERS = [
  `INSERT INTO shares (charge, position, budget, subject, window, window_start, amount)
    SELECT id, 0, '${HISTORY.budget}', '*', 'day', reserved_at - reserved_at % ${DAY_MS}, micro_usd FROM charges`,
  `INSERT INTO totals (budget, subject, window, window_start, spent, held, authorized, uncertain)
    SELECT '${HISTORY.budget}', '*', 'day', reserved_at - reserved_at % ${DAY_MS} AS day,
      CAST(sum(CASE WHEN state = 'settled' THEN CAST(micro_usd AS INTEGER) ELSE 0 END) AS TEXT), '0', '0',
      CAST(sum(CASE WHEN state = 'uncertain' THEN CAST(micro_usd AS INTEGER) ELSE 0 END) AS TEXT)
    FROM charges GROUP BY day`,
  `INSERT INTO charge_usage SELECT id, 100 + CAST(micro_usd AS INTEGER) % 50, 200 FROM charges WHERE state = 'settled'`,
]
