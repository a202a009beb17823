/**
 * The tables of the Postgres ledger, named as in SQLite's. Amounts are NUMERIC(78,0), which holds every amount of a token and
 * nothing with a fraction; instants are BIGINT, milliseconds since the epoch. Text sorts by its bytes, whatever the database's
 * language.
 */

const TEXT = 'TEXT COLLATE "C"'
const AMOUNT = 'NUMERIC(78,0)'

/** A column with an amount. */
function amount(column: string): string {
  return `${column} ${AMOUNT} NOT NULL CHECK (${column} >= 0)`
}

function optionalAmount(column: string): string {
  return `${column} ${AMOUNT} CHECK (${column} >= 0)`
}

/**
 * The step at index n migrates schema version n to n + 1, in one transaction. Steps are only ever appended: a ledger of any
 * older version is migrated forward, and none is ever migrated back.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE charges (
    id ${TEXT} PRIMARY KEY,
    instance ${TEXT} NOT NULL,
    request_id ${TEXT} NOT NULL,
    caller ${TEXT} NOT NULL,
    model ${TEXT} NOT NULL,
    route ${TEXT} NOT NULL,
    payer ${TEXT} NOT NULL,
    seller ${TEXT} NOT NULL,
    api_base ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    asset ${TEXT} NOT NULL,
    symbol ${TEXT} NOT NULL,
    decimals INTEGER NOT NULL,
    pay_to ${TEXT} NOT NULL,
    ${amount('amount')},
    ${optionalAmount('micro_usd')},
    reserved_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    remote_model ${TEXT},
    tags ${TEXT},
    state ${TEXT} NOT NULL CHECK (state IN ('held', 'authorized', 'settled', 'uncertain', 'released')),
    proof ${TEXT} CHECK (proof IN ('receipt', 'assumed', 'chain')),
    from_address ${TEXT},
    nonce ${TEXT},
    valid_after BIGINT,
    valid_before BIGINT,
    method ${TEXT} CHECK (method IN ('eip3009', 'permit2')),
    scheme ${TEXT} CHECK (scheme IN ('exact', 'upto')),
    ${optionalAmount('charged')},
    own_signature ${TEXT},
    memo ${TEXT} CHECK ((memo IS NULL) = (own_signature IS NULL)),
    blockhash ${TEXT} CHECK ((blockhash IS NULL) = (own_signature IS NULL)),
    last_valid_height BIGINT CHECK ((last_valid_height IS NULL) = (own_signature IS NULL)),
    signed_slot BIGINT CHECK ((signed_slot IS NULL) = (own_signature IS NULL)),
    source_account ${TEXT} CHECK ((source_account IS NULL) = (own_signature IS NULL)),
    tx ${TEXT},
    reason ${TEXT},
    updated_at BIGINT NOT NULL,
    key BIGINT NOT NULL,
    CHECK ((nonce IS NULL) = (from_address IS NULL)),
    CHECK (state NOT IN ('authorized', 'settled', 'uncertain') OR nonce IS NOT NULL),
    CONSTRAINT charges_nonce UNIQUE (from_address, network, asset, nonce)
  );
  CREATE INDEX charges_by_time ON charges (reserved_at, id);
  CREATE INDEX charges_by_instance ON charges (instance, reserved_at, id);
  CREATE INDEX charges_open ON charges (instance) WHERE state IN ('held', 'authorized');
  CREATE INDEX charges_open_by_seller ON charges (api_base, network, asset) WHERE state IN ('held', 'authorized');
  CREATE INDEX charges_uncertain ON charges (network, id) WHERE state = 'uncertain';
  CREATE INDEX charges_settled_unproven ON charges (network, id) WHERE state = 'settled' AND proof <> 'chain';
  CREATE INDEX charges_long ON charges (valid_before) WHERE valid_before * 1000 > reserved_at + 86400000;
  CREATE INDEX charges_by_transaction ON charges (tx, network) WHERE tx IS NOT NULL;
  CREATE INDEX charges_by_key ON charges (key, state, reserved_at, id);

  CREATE TABLE shares (
    charge ${TEXT} NOT NULL REFERENCES charges (id),
    position INTEGER NOT NULL,
    budget ${TEXT} NOT NULL,
    subject ${TEXT} NOT NULL,
    "window" ${TEXT} NOT NULL,
    window_start BIGINT NOT NULL,
    ${amount('amount')},
    counts ${TEXT} CHECK (counts IN ('tokens', 'requests')),
    PRIMARY KEY (charge, position)
  );
  CREATE INDEX shares_rolling ON shares (budget, subject, window_start) WHERE "window" = 'rolling';

  CREATE TABLE totals (
    budget ${TEXT} NOT NULL,
    subject ${TEXT} NOT NULL,
    "window" ${TEXT} NOT NULL,
    window_start BIGINT NOT NULL,
    ${amount('spent')},
    ${amount('held')},
    ${amount('authorized')},
    ${amount('uncertain')},
    PRIMARY KEY (budget, subject, "window", window_start)
  ) WITH (fillfactor = 50);
  CREATE INDEX totals_by_window ON totals (budget, "window", window_start, subject);

  CREATE TABLE soft_notices (
    budget ${TEXT} NOT NULL,
    subject ${TEXT} NOT NULL,
    "window" ${TEXT} NOT NULL,
    window_start BIGINT NOT NULL,
    PRIMARY KEY (budget, subject, "window", window_start)
  );

  CREATE TABLE pins (
    api_base ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    asset ${TEXT} NOT NULL,
    pay_to ${TEXT} NOT NULL,
    pinned_at BIGINT NOT NULL,
    PRIMARY KEY (api_base, network, asset)
  );

  CREATE TABLE prices (
    api_base ${TEXT} NOT NULL,
    endpoint ${TEXT} NOT NULL,
    model ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    asset ${TEXT} NOT NULL,
    ${amount('first')},
    ${amount('pinned')},
    ${amount('last')},
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (api_base, endpoint, model, network, asset)
  );

  CREATE TABLE instances (
    id ${TEXT} PRIMARY KEY,
    host ${TEXT} NOT NULL,
    pid INTEGER NOT NULL,
    process_start ${TEXT} NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    retired_at BIGINT
  );

  CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), count BIGINT NOT NULL);
  INSERT INTO pings VALUES (1, 0);

  CREATE TABLE flags (
    charge ${TEXT} NOT NULL REFERENCES charges (id),
    flag ${TEXT} NOT NULL,
    detail ${TEXT} NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (charge, flag)
  );
  CREATE INDEX flags_by_time ON flags (at, charge);

  CREATE TABLE tombstones (
    charge ${TEXT} PRIMARY KEY REFERENCES charges (id),
    name ${TEXT} UNIQUE,
    body ${TEXT} NOT NULL,
    call ${TEXT},
    at BIGINT NOT NULL,
    undelivered_at BIGINT,
    is_retry INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX tombstones_by_body ON tombstones (body, at);
  CREATE INDEX tombstones_by_call ON tombstones (call, body, at) WHERE call IS NOT NULL;
  CREATE INDEX tombstones_by_time ON tombstones (at);

  CREATE TABLE secrets (name ${TEXT} PRIMARY KEY, value BYTEA NOT NULL);

  CREATE TABLE untold (
    charge ${TEXT} PRIMARY KEY REFERENCES charges (id),
    instance ${TEXT} NOT NULL
  );
  CREATE INDEX untold_by_instance ON untold (instance);

  CREATE TABLE charge_usage (
    charge ${TEXT} PRIMARY KEY REFERENCES charges (id),
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL
  );

  CREATE TABLE audit_heads (
    host ${TEXT} NOT NULL,
    file ${TEXT} NOT NULL,
    seq BIGINT NOT NULL,
    hash ${TEXT} NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (host, file)
  );

  CREATE TABLE voucher_pools (
    payer ${TEXT} NOT NULL,
    name ${TEXT} NOT NULL,
    seller ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    asset ${TEXT} NOT NULL,
    pay_to ${TEXT} NOT NULL,
    ${amount('amount')},
    method ${TEXT} NOT NULL CHECK (method IN ('eip3009', 'permit2')),
    remote_model ${TEXT},
    symbol ${TEXT} NOT NULL,
    decimals INTEGER NOT NULL,
    refill_threshold BIGINT,
    refill_count BIGINT,
    refill_max_total BIGINT,
    ${optionalAmount('refill_max_per_day')},
    ${optionalAmount('refill_max_price')},
    draining_since BIGINT,
    created_at BIGINT NOT NULL,
    CHECK ((refill_threshold IS NULL) = (refill_count IS NULL)),
    PRIMARY KEY (payer, name)
  );

  CREATE TABLE vouchers (
    id ${TEXT} PRIMARY KEY,
    payer ${TEXT} NOT NULL,
    pool ${TEXT} NOT NULL,
    seller ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    asset ${TEXT} NOT NULL,
    pay_to ${TEXT} NOT NULL,
    ${amount('amount')},
    method ${TEXT} NOT NULL CHECK (method IN ('eip3009', 'permit2')),
    from_address ${TEXT} NOT NULL,
    nonce ${TEXT} NOT NULL,
    valid_after BIGINT NOT NULL,
    valid_before BIGINT NOT NULL,
    ${optionalAmount('micro_usd')},
    consume_key ${TEXT} NOT NULL,
    payment ${TEXT},
    signed INTEGER NOT NULL,
    added_at BIGINT NOT NULL,
    usable_until BIGINT NOT NULL,
    charge ${TEXT} UNIQUE REFERENCES charges (id),
    closed ${TEXT} CHECK (closed IN ('spent', 'dropped')),
    ordered INTEGER NOT NULL DEFAULT 0,
    CHECK (charge IS NULL OR closed IS NULL),
    CHECK (payment IS NOT NULL OR charge IS NOT NULL OR closed IS NOT NULL)
  );
  CREATE INDEX vouchers_free ON vouchers (payer, seller, network, asset, pay_to, amount, method, usable_until, id)
    WHERE charge IS NULL AND closed IS NULL;
  CREATE INDEX vouchers_by_pool ON vouchers (payer, pool);

  CREATE TABLE purchases (
    payer ${TEXT} NOT NULL,
    name ${TEXT} NOT NULL,
    endpoint ${TEXT} NOT NULL,
    model ${TEXT} NOT NULL,
    signed_by ${TEXT} NOT NULL,
    life_seconds BIGINT NOT NULL,
    ${optionalAmount('max_price')},
    ordered BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    cost ${AMOUNT} NOT NULL DEFAULT 0 CHECK (cost >= 0),
    order_at BIGINT,
    order_count BIGINT,
    ${optionalAmount('order_budget')},
    order_size BIGINT,
    ${optionalAmount('order_price')},
    ${optionalAmount('order_ceiling')},
    hand_over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (payer, name)
  );

  CREATE TABLE spend_keys (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    tag ${TEXT} NOT NULL,
    route ${TEXT} NOT NULL,
    model ${TEXT} NOT NULL,
    remote_model ${TEXT} NOT NULL,
    payer ${TEXT} NOT NULL,
    seller ${TEXT} NOT NULL,
    caller ${TEXT} NOT NULL,
    network ${TEXT} NOT NULL,
    symbol ${TEXT} NOT NULL,
    decimals INTEGER NOT NULL,
    digest BYTEA NOT NULL UNIQUE
  );

  CREATE TABLE rollups (
    tile ${TEXT} NOT NULL CHECK (tile IN ('quarter', 'day', 'ever')),
    tagged INTEGER NOT NULL CHECK (tagged IN (0, 1)),
    state ${TEXT} NOT NULL CHECK (state IN ('settled', 'uncertain', 'released')),
    start BIGINT NOT NULL,
    key BIGINT NOT NULL,
    charges BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    signed NUMERIC NOT NULL,
    signed_micro_usd NUMERIC NOT NULL,
    taken NUMERIC NOT NULL,
    taken_micro_usd NUMERIC NOT NULL,
    input_tokens NUMERIC NOT NULL,
    output_tokens NUMERIC NOT NULL,
    PRIMARY KEY (tile, tagged, state, start, key)
  ) WITH (fillfactor = 50);
  `,
  // What is owed to people: calls that wait for their approval, and messages to a webhook that are not delivered.
  `
  CREATE TABLE notices (
    id ${TEXT} PRIMARY KEY,
    kind ${TEXT} NOT NULL CHECK (kind IN ('approval', 'message')),
    instance ${TEXT} NOT NULL,
    at BIGINT NOT NULL,
    body ${TEXT} NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    result ${TEXT},
    ended_at BIGINT CHECK ((ended_at IS NULL) = (result IS NULL))
  );
  CREATE INDEX notices_open ON notices (instance) WHERE result IS NULL;
  `,
]

/** The schema version that this code writes. */
export const SCHEMA_VERSION = MIGRATIONS.length
