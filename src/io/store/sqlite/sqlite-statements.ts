/** Every statement the SQLite store runs per request, prepared once. */
import type { StatementSync } from 'node:sqlite'
import type { Connection } from './sqlite-file.ts'

const CHARGE_COLUMNS = [
  'id',
  'instance',
  'request_id',
  'caller',
  'model',
  'route',
  'payer',
  'seller',
  'api_base',
  'network',
  'asset',
  'symbol',
  'decimals',
  'pay_to',
  'amount',
  'micro_usd',
  'reserved_at',
  'lease_until',
] as const

const CHANGING_COLUMNS = [
  'state',
  'proof',
  'from_address',
  'nonce',
  'valid_after',
  'valid_before',
  'method',
  'scheme',
  'charged',
  'tx',
  'reason',
  'updated_at',
] as const

const ALL_COLUMNS = [...CHARGE_COLUMNS, ...CHANGING_COLUMNS]

/** Prepares them. @throws Error when a table is missing: the file is damaged */
export function prepareStatements(db: Connection) {
  return {
    charge: db.prepare('SELECT * FROM charges WHERE id = ?'),
    microUsd: db.prepare('SELECT micro_usd, amount, charged FROM charges WHERE state = ?'),
    // Micro-USD are far below 2^63, past which sum() fails rather than rounds. Parts of what was signed are read apart.
    spentBy: db.prepare(`SELECT route, payer, seller, caller, count(*) AS charges,
    CAST(coalesce(sum(CASE WHEN charged IS NULL THEN CAST(micro_usd AS INTEGER) END), 0) AS TEXT) AS micro_usd
    FROM charges WHERE state = 'settled' AND reserved_at >= ? AND reserved_at < ?
    GROUP BY route, payer, seller, caller ORDER BY route, payer, seller, caller`),
    spentInPart: db.prepare(`SELECT route, payer, seller, caller, micro_usd, amount, charged FROM charges
    WHERE state = 'settled' AND reserved_at >= ? AND reserved_at < ? AND charged IS NOT NULL`),
    insertCharge: db.prepare(`INSERT INTO charges (${ALL_COLUMNS.join(', ')})
    VALUES (${ALL_COLUMNS.map((column) => `:${column}`).join(', ')})`),
    updateCharge:
      db.prepare(`UPDATE charges SET ${CHANGING_COLUMNS.map((column) => `${column} = :${column}`).join(', ')}
    WHERE id = :id`),
    // The condition on the state is word for word the one of the index charges_open.
    openCharges:
      db.prepare(`SELECT * FROM charges INDEXED BY charges_open WHERE instance = ? AND state IN ('held', 'authorized')
    ORDER BY reserved_at, id`),
    nonce: db.prepare(
      'SELECT * FROM charges WHERE from_address = ? AND network = ? AND asset = ? AND nonce = ?',
    ),
    // The first condition is word for word the one of the index charges_unproven.
    unproven: db.prepare(`SELECT * FROM charges
    WHERE (state = 'uncertain' OR (state = 'settled' AND proof <> 'chain')) AND network = ? AND id > ?
    AND NOT EXISTS (SELECT 1 FROM flags WHERE charge = charges.id AND flag = 'receipt_unproven')
    ORDER BY id LIMIT ?`),
    flag: db.prepare('INSERT OR IGNORE INTO flags (charge, flag, detail, at) VALUES (?, ?, ?, ?)'),
    unflag: db.prepare('DELETE FROM flags WHERE charge = ? AND flag = ?'),
    flags: db.prepare('SELECT * FROM flags ORDER BY at DESC, charge DESC, flag LIMIT ?'),
    flagsOf: db.prepare('SELECT * FROM flags WHERE charge = ? ORDER BY at DESC, flag LIMIT ?'),
    flagCounts: db.prepare('SELECT flag, count(*) AS count FROM flags GROUP BY flag ORDER BY flag'),
    pin: db.prepare('SELECT * FROM pins WHERE api_base = ? AND network = ? AND asset = ?'),
    pins: db.prepare('SELECT * FROM pins WHERE api_base = ? ORDER BY api_base, network, asset'),
    allPins: db.prepare('SELECT * FROM pins ORDER BY api_base, network, asset'),
    insertPin: db.prepare(
      'INSERT INTO pins (api_base, network, asset, pay_to, pinned_at) VALUES (?, ?, ?, ?, ?)',
    ),
    register:
      db.prepare(`INSERT OR REPLACE INTO instances (id, host, pid, process_start, started_at, heartbeat_at)
    VALUES (?, ?, ?, ?, ?, ?)`),
    heartbeat: db.prepare('UPDATE instances SET heartbeat_at = ? WHERE id = ?'),
    instances: db.prepare(`SELECT * FROM instances WHERE retired_at IS NULL OR EXISTS (
      SELECT 1 FROM charges WHERE instance = instances.id AND state IN ('held', 'authorized')
    ) OR EXISTS (SELECT 1 FROM untold WHERE instance = instances.id) ORDER BY started_at, id`),
    retire: db.prepare('UPDATE instances SET retired_at = ? WHERE id = ?'),
    ping: db.prepare('UPDATE pings SET count = count + 1'),
  }
}

/** The prepared statements, by name. */
export type Statements = Readonly<Record<keyof ReturnType<typeof prepareStatements>, StatementSync>>
