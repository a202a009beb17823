/**
 * The tables of the SQLite ledger. Amounts are TEXT because SQLite's INTEGER ends at 2^63, which is 9.2 units of an 18-decimal
 * token. The checks allow only plain decimal numbers, so that no sum can go below zero.
 */

import { amountColumn as AMOUNT, isPlainNumber as PLAIN } from './amount-column.ts'
import { ROLLUPS } from './rollup-schema.ts'

/** Marks a database file as a Tollway ledger (SQLite's `application_id`): "Toll". */
export const APPLICATION_ID = 0x546f6c6c

/**
 * The step at index n migrates schema version n to n + 1. Steps are only ever appended, so that a file of any older version
 * can be migrated, in one transaction.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE charges (
    id TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    request_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    model TEXT NOT NULL,
    route TEXT NOT NULL,
    payer TEXT NOT NULL,
    seller TEXT NOT NULL,
    api_base TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    pay_to TEXT NOT NULL,
    ${AMOUNT('amount')},
    micro_usd TEXT CHECK (micro_usd IS NULL OR (${PLAIN('micro_usd')})),
    reserved_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'authorized', 'settled', 'uncertain', 'released')),
    proof TEXT CHECK (proof IN ('receipt', 'assumed', 'chain')),
    from_address TEXT,
    nonce TEXT,
    valid_after INTEGER,
    valid_before INTEGER,
    tx TEXT,
    reason TEXT,
    updated_at INTEGER NOT NULL,
    CHECK ((nonce IS NULL) = (from_address IS NULL)),
    CHECK (state NOT IN ('authorized', 'settled', 'uncertain') OR nonce IS NOT NULL),
    UNIQUE (from_address, network, asset, nonce)
  ) STRICT;
  CREATE INDEX charges_by_time ON charges (reserved_at, id);
  CREATE INDEX charges_by_state ON charges (state, reserved_at, id);
  CREATE INDEX charges_by_instance ON charges (instance, state);

  CREATE TABLE shares (
    charge TEXT NOT NULL REFERENCES charges (id),
    position INTEGER NOT NULL,
    budget TEXT NOT NULL,
    subject TEXT NOT NULL,
    window TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    ${AMOUNT('amount')},
    PRIMARY KEY (charge, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE totals (
    budget TEXT NOT NULL,
    subject TEXT NOT NULL,
    window TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    ${AMOUNT('spent')},
    ${AMOUNT('held')},
    ${AMOUNT('authorized')},
    ${AMOUNT('uncertain')},
    PRIMARY KEY (budget, subject, window, window_start)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX totals_by_start ON totals (window_start);

  CREATE TABLE pins (
    api_base TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    pinned_at INTEGER NOT NULL,
    PRIMARY KEY (api_base, network, asset)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_start TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    retired_at INTEGER
  ) STRICT;

  CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
  INSERT INTO pings VALUES (1, 0);
  `,
  `
  ALTER TABLE charges ADD COLUMN method TEXT CHECK (method IN ('eip3009', 'permit2'));
  CREATE INDEX charges_unproven ON charges (network, id)
    WHERE (state = 'uncertain' OR (state = 'settled' AND proof <> 'chain'));

  CREATE TABLE flags (
    charge TEXT NOT NULL REFERENCES charges (id),
    flag TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (charge, flag)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX flags_by_time ON flags (at, charge);
  `,
  // Tombstones of requests by keyed digest, and the prices that sellers were paid.
  `
  CREATE TABLE tombstones (
    charge TEXT PRIMARY KEY REFERENCES charges (id),
    name TEXT UNIQUE,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    undelivered_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tombstones_by_body ON tombstones (body, at);
  CREATE INDEX tombstones_by_time ON tombstones (at);

  CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO secrets VALUES ('request_digest', randomblob(32));

  CREATE TABLE prices (
    api_base TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    ${AMOUNT('first')},
    ${AMOUNT('pinned')},
    ${AMOUNT('last')},
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (api_base, endpoint, model, network, asset)
  ) STRICT, WITHOUT ROWID;
  `,
  // Rolling windows, whose sums per second, minute, hour and day are rows of totals too, and soft limits that were reported.
  `
  CREATE INDEX shares_rolling ON shares (budget, subject, window_start) WHERE window = 'rolling';
  CREATE INDEX totals_by_window ON totals (budget, window, window_start, subject);

  CREATE TABLE soft_notices (
    budget TEXT NOT NULL,
    subject TEXT NOT NULL,
    window TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    PRIMARY KEY (budget, subject, window, window_start)
  ) STRICT, WITHOUT ROWID;
  `,
  // The audit outbox: charges whose newest move may not be in an audit file yet, and the instance that publishes it.
  `
  CREATE TABLE untold (
    charge TEXT PRIMARY KEY REFERENCES charges (id),
    instance TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX untold_by_instance ON untold (instance);
  `,
  // Tokens of answers, heads of audit files, and vouchers (payments signed ahead).
  `
  CREATE TABLE charge_usage (
    charge TEXT PRIMARY KEY REFERENCES charges (id),
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX charges_by_caller ON charges (caller, reserved_at);

  CREATE TABLE audit_heads (
    file TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE voucher_pools (
    payer TEXT NOT NULL,
    name TEXT NOT NULL,
    seller TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    ${AMOUNT('amount')},
    method TEXT NOT NULL CHECK (method IN ('eip3009', 'permit2')),
    remote_model TEXT,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    refill_threshold INTEGER,
    refill_count INTEGER,
    refill_max_total INTEGER,
    refill_max_per_day TEXT CHECK (refill_max_per_day IS NULL OR (${PLAIN('refill_max_per_day')})),
    refill_max_price TEXT CHECK (refill_max_price IS NULL OR (${PLAIN('refill_max_price')})),
    draining_since INTEGER,
    created_at INTEGER NOT NULL,
    CHECK ((refill_threshold IS NULL) = (refill_count IS NULL)),
    PRIMARY KEY (payer, name)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE vouchers (
    id TEXT PRIMARY KEY,
    payer TEXT NOT NULL,
    pool TEXT NOT NULL,
    seller TEXT NOT NULL,
    network TEXT NOT NULL,
    asset TEXT NOT NULL,
    pay_to TEXT NOT NULL,
    ${AMOUNT('amount')},
    method TEXT NOT NULL CHECK (method IN ('eip3009', 'permit2')),
    from_address TEXT NOT NULL,
    nonce TEXT NOT NULL,
    valid_after INTEGER NOT NULL,
    valid_before INTEGER NOT NULL,
    micro_usd TEXT CHECK (micro_usd IS NULL OR (${PLAIN('micro_usd')})),
    consume_key TEXT NOT NULL,
    payment TEXT,
    signed INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    usable_until INTEGER NOT NULL,
    charge TEXT UNIQUE REFERENCES charges (id),
    closed TEXT CHECK (closed IN ('spent', 'dropped')),
    CHECK (charge IS NULL OR closed IS NULL),
    CHECK (payment IS NOT NULL OR charge IS NOT NULL OR closed IS NOT NULL)
  ) STRICT;
  CREATE INDEX vouchers_free ON vouchers (payer, seller, network, asset, pay_to, amount, method, usable_until, id)
    WHERE charge IS NULL AND closed IS NULL;
  CREATE INDEX vouchers_by_pool ON vouchers (payer, pool);
  `,
  // `upto`: the seller may take less than was signed; `charged` is the amount that the chain proved.
  `
  ALTER TABLE charges ADD COLUMN scheme TEXT CHECK (scheme IN ('exact', 'upto'));
  ALTER TABLE charges ADD COLUMN charged TEXT CHECK (charged IS NULL OR (${PLAIN('charged')}));
  `,
  // Purchases of vouchers: where they are bought, and how many of an order are delivered.
  `
  CREATE TABLE purchases (
    payer TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    signed_by TEXT NOT NULL,
    life_seconds INTEGER NOT NULL,
    max_price TEXT CHECK (max_price IS NULL OR (${PLAIN('max_price')})),
    ordered INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (payer, name)
  ) STRICT, WITHOUT ROWID;
  `,
  // Authorizations valid for longer than a day, such as vouchers: they may be used long after their reservation.
  `
  CREATE INDEX charges_long ON charges (valid_before) WHERE valid_before * 1000 > reserved_at + 86400000;
  `,
  // Pages of one instance's charges without sorting all of them for each page, and a small index of its open charges.
  `
  DROP INDEX charges_by_instance;
  CREATE INDEX charges_by_instance ON charges (instance, reserved_at, id);
  CREATE INDEX charges_open ON charges (instance) WHERE state IN ('held', 'authorized');
  `,
  // The terms of a voucher order, which also bind the process that signs later, and the cost of what was delivered.
  `
  ALTER TABLE purchases ADD COLUMN cost TEXT NOT NULL DEFAULT '0' CHECK (${PLAIN('cost')});
  ALTER TABLE purchases ADD COLUMN order_at INTEGER;
  ALTER TABLE purchases ADD COLUMN order_count INTEGER;
  ALTER TABLE purchases ADD COLUMN order_budget TEXT CHECK (order_budget IS NULL OR (${PLAIN('order_budget')}));
  ALTER TABLE purchases ADD COLUMN order_size INTEGER;
  ALTER TABLE purchases ADD COLUMN order_price TEXT CHECK (order_price IS NULL OR (${PLAIN('order_price')}));
  ALTER TABLE purchases ADD COLUMN order_ceiling TEXT CHECK (order_ceiling IS NULL OR (${PLAIN('order_ceiling')}));
  ALTER TABLE purchases ADD COLUMN hand_over INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE vouchers ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;
  UPDATE vouchers SET ordered = signed;
  `,
  // Where the log of the processes that have the ledger open is: see one-log.ts.
  `
  CREATE TABLE ledger_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    place TEXT,
    path TEXT,
    files TEXT
  ) STRICT;
  INSERT INTO ledger_log VALUES (1, NULL, NULL, NULL);
  `,
  // Payments on Solana: what finds them on the chain. They are those whose method is NULL and that have a signature.
  `
  ALTER TABLE charges ADD COLUMN own_signature TEXT;
  ALTER TABLE charges ADD COLUMN memo TEXT CHECK ((memo IS NULL) = (own_signature IS NULL));
  ALTER TABLE charges ADD COLUMN blockhash TEXT CHECK ((blockhash IS NULL) = (own_signature IS NULL));
  ALTER TABLE charges ADD COLUMN last_valid_height INTEGER CHECK ((last_valid_height IS NULL) = (own_signature IS NULL));
  ALTER TABLE charges ADD COLUMN signed_slot INTEGER CHECK ((signed_slot IS NULL) = (own_signature IS NULL));
  ALTER TABLE charges ADD COLUMN source_account TEXT CHECK ((source_account IS NULL) = (own_signature IS NULL));
  `,
  // Whether another charge has the transaction of a receipt.
  `
  CREATE INDEX charges_by_transaction ON charges (tx, network) WHERE tx IS NOT NULL;
  `,
  // The call of a request, whichever model it names: a fallback to another paid model is no second payment.
  `
  ALTER TABLE tombstones ADD COLUMN call TEXT;
  CREATE INDEX tombstones_by_call ON tombstones (call, at) WHERE call IS NOT NULL;
  `,
  // What a charge was spent on: the model that the seller was asked for, and the tags of the request as a JSON list.
  `
  ALTER TABLE charges ADD COLUMN remote_model TEXT;
  ALTER TABLE charges ADD COLUMN tags TEXT CHECK (tags IS NULL OR json_valid(tags));
  `,
  // Whether the request said that it repeats an earlier one, which may still be on its way elsewhere. The index skips the same
  // body, however often it came.
  `
  ALTER TABLE tombstones ADD COLUMN is_retry INTEGER NOT NULL DEFAULT 0;
  DROP INDEX tombstones_by_call;
  CREATE INDEX tombstones_by_call ON tombstones (call, body, at) WHERE call IS NOT NULL;
  `,
  // What a share counts when it is no money: it does not follow what a payment took.
  `
  ALTER TABLE shares ADD COLUMN counts TEXT CHECK (counts IN ('tokens', 'requests'));
  `,
  ROLLUPS,
  // What is owed to people: calls that wait for their approval, and messages to a webhook that are not delivered.
  `
  CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('approval', 'message')),
    instance TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body)),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    result TEXT,
    ended_at INTEGER CHECK ((ended_at IS NULL) = (result IS NULL))
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX notices_open ON notices (instance) WHERE result IS NULL;
  `,
]

/** The schema version this code writes (SQLite's `user_version`). */
export const SCHEMA_VERSION = MIGRATIONS.length
