/** `GET /v1/tollway/requests/<id>`: what became of a request and its money, for the caller who sent it. */
import type { Charge } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import type { LedgerUse } from '../../io/ledger/ledger-use.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from '../../../middleware/http/handler.ts'
import { rawPaths } from '../../../middleware/http/paths.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'
import type { AdminKey } from '../admin/admin-key.ts'
import { LOOKUP_ENDPOINT, type KnownRequest, type RecentRequests } from './recent-requests.ts'
import { noteRecorded } from './recorded-requests.ts'
import { requestJson } from './request-json.ts'

/** Dependencies of {@link requestLookup}. */
export interface RequestLookupOptions {
  readonly requests: RecentRequests
  readonly ledger: LedgerUse<never, 'charge' | 'charges'>
  readonly auditPath: string
  readonly adminKey: AdminKey
  /** Finds the caller, or refuses with `invalid_api_key`. */
  readonly identify: Handler
  readonly clock: Clock
}

const PATH = /^\/tollway\/requests\/([^/]+)$/

/** Charges that are looked through for a request that is known no other way, and their age, milliseconds. */
const MAX_PAGES = 10
const PAGE = 1000
const MAX_AGE_MS = 86_400_000

/** Serves the look-up. Mount it before `caller()`: the admin key is no caller's. */
export function requestLookup(options: RequestLookupOptions): Handler {
  const { requests, auditPath, ledger } = options
  let recorded: Promise<void> | undefined
  return asyncHandler('requestLookup', async (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    const id = idIn(req)
    if (id === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = LOOKUP_ENDPOINT
    const caller = await whoAsks(req, res, options)
    const find = (): KnownRequest | undefined => requests.find(id, caller)
    if (!find()) {
      // Once: what an earlier process recorded does not change.
      recorded ??= noteRecorded(auditPath, requests)
      await recorded
    }
    const known = find() ?? (await inLedger(id, caller, options))
    if (!known) throw unknown()
    const charges = await Promise.all(known.charges.map((charge) => ledger.store.charge(charge)))
    const own = charges.filter((charge): charge is Charge => charge !== undefined)
    sendJson(res, exchange, 200, requestJson(known, own))
  })
}

function idIn(req: Request): string | undefined {
  for (const path of rawPaths(req)) {
    const name = PATH.exec(path)?.[1]
    if (name === undefined) continue
    try {
      return decodeURIComponent(name)
    } catch {
      return name
    }
  }
  return undefined
}

/**
 * The caller, or `undefined` for the admin.
 * @throws TollwayError `invalid_api_key`, `too_many_attempts`
 */
async function whoAsks(
  req: Request,
  res: Parameters<Handler>[1],
  { identify, adminKey }: RequestLookupOptions,
): Promise<string | undefined> {
  const refusal = await new Promise<unknown>((resolve) => {
    identify(req, res, resolve)
  })
  if (refusal === undefined) return exchangeOf(req).caller.id
  const key = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1]
  if (!(refusal instanceof TollwayError) || !adminKey.isSet || key === undefined) throw refusal
  await adminKey.compare(req, key, () => refusal)
  return undefined
}

/** Looks through the newest charges of a day: after a restart they are all that is left of long histories. */
async function inLedger(
  id: string,
  caller: string | undefined,
  { ledger, clock }: RequestLookupOptions,
): Promise<KnownRequest | undefined> {
  const from = clock.now() - MAX_AGE_MS
  let before: Charge | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const charges = await ledger.store.charges({ caller, from, before, limit: PAGE })
    const found = charges.find(({ requestId }) => requestId === id)
    if (found) return { id, caller: found.caller, ended: undefined, charges: [found.id] }
    before = charges.at(-1)
    if (charges.length < PAGE) return undefined
  }
  return undefined
}

/** The same for a request that never was and for another caller's. */
function unknown(): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: 'No request of this caller with this id is known.',
    advice: [
      'Give the x-request-id of the answer.',
      'Older requests are in the audit file: tollway audit show --request <id>.',
    ],
  })
}
