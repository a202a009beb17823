import { amountColumn } from './amount-column.ts'

/**
 * The step that adds the sums of closed charges (see history/rollups.ts). It builds none: a charge without a key is not in them
 * yet. The index by key also serves every filter of charges, so that the narrower ones go.
 * What the chain is still asked about has an index by urgency.
 */
export const ROLLUPS = `
  CREATE TABLE spend_keys (
    id INTEGER PRIMARY KEY,
    tag TEXT NOT NULL,
    route TEXT NOT NULL,
    model TEXT NOT NULL,
    remote_model TEXT NOT NULL,
    payer TEXT NOT NULL,
    seller TEXT NOT NULL,
    caller TEXT NOT NULL,
    network TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    UNIQUE (tag, route, model, remote_model, payer, seller, caller, network, symbol, decimals)
  ) STRICT;

  CREATE TABLE rollups (
    tile TEXT NOT NULL CHECK (tile IN ('quarter', 'day', 'ever')),
    tagged INTEGER NOT NULL CHECK (tagged IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('settled', 'uncertain', 'released')),
    start INTEGER NOT NULL,
    key INTEGER NOT NULL,
    charges INTEGER NOT NULL CHECK (charges > 0),
    unpriced INTEGER NOT NULL CHECK (unpriced >= 0),
    ${amountColumn('signed')},
    ${amountColumn('signed_micro_usd')},
    ${amountColumn('taken')},
    ${amountColumn('taken_micro_usd')},
    ${amountColumn('input_tokens')},
    ${amountColumn('output_tokens')},
    PRIMARY KEY (tile, tagged, state, start, key)
  ) STRICT, WITHOUT ROWID;

  ALTER TABLE charges ADD COLUMN key INTEGER;
  CREATE INDEX charges_by_key ON charges (key, state, reserved_at, id);
  CREATE INDEX charges_uncertain ON charges (network, id) WHERE state = 'uncertain';
  CREATE INDEX charges_settled_unproven ON charges (network, id) WHERE state = 'settled' AND proof <> 'chain';
  DROP INDEX charges_unproven;
  DROP INDEX charges_by_state;
  DROP INDEX charges_by_caller;
  `
