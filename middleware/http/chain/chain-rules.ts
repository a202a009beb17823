/** Which orders of middlewares work. */
import { isMadeHere, isOfAnotherCopy, ONE_COPY } from '../one-copy.ts'
import { factsOf } from './part-facts.ts'

/** One handler of a chain. */
export interface Mounted {
  readonly name: string
  /** The handler itself, for what only its factory knows. */
  readonly handle?: unknown
  /** The only method that it is mounted for, in lower case. */
  readonly method?: string | undefined
}

/** Our middlewares in their required order; any of them may be left out where no other needs it. */
export const CHAIN: readonly string[] = [
  'auditLogger',
  'originGuard',
  'caller',
  'callerLimits',
  'readBody',
  'modelRouter',
  'idempotency',
  'budgetGuard',
  'paymentInterceptor',
  'sseRestreamer',
  'passThrough',
  'errorHandler',
]

/** What each of them cannot work without, in front of it. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  modelRouter: ['readBody'],
  idempotency: ['readBody', 'modelRouter'],
  budgetGuard: ['readBody', 'modelRouter'],
  paymentInterceptor: ['readBody', 'modelRouter', 'budgetGuard'],
}

const WHY: Readonly<Record<string, string>> = {
  readBody: 'the model is in the body',
  modelRouter: 'it chooses the seller',
  budgetGuard: 'nothing may be paid without a budget',
}

/** Handlers that read a body, by the names their packages give them (express, body-parser, multer, express-fileupload). */
const BODY_PARSERS: ReadonlySet<string> = new Set([
  'jsonParser',
  'urlencodedParser',
  'rawParser',
  'textParser',
  'bodyParser',
  'multerMiddleware',
])

/** Whether a handler reads bodies. */
export function isBodyParser(name: string): boolean {
  return BODY_PARSERS.has(name)
}

/** Whether a name is that of one of our middlewares. */
export function isOurs(name: string): boolean {
  return CHAIN.includes(name)
}

/** Everything that is wrong with a chain, each with its fix; empty for one that works, or has none of ours. */
export function faultsOf(chain: readonly Mounted[]): string[] {
  const ours = chain.filter(({ name }) => isOurs(name))
  if (ours.length === 0) return []
  const names = ours.map(({ name }) => name)
  return [
    ...parsersBefore(chain),
    ...inversions(names),
    ...missing(ours),
    ...payments(chain),
    ...otherCopies(chain),
    ...(names.includes('errorHandler')
      ? []
      : ['errorHandler() is missing. Mount it last, after every other middleware.']),
  ]
}

/** A parser reads bytes that must be forwarded unchanged, whichever of ours comes after it. */
function parsersBefore(chain: readonly Mounted[]): string[] {
  const last = chain.findLastIndex(({ name }) => name !== 'errorHandler' && isOurs(name))
  return chain.flatMap(({ name }, index) => {
    if (index > last || !isBodyParser(name)) return []
    const after = chain.slice(index).find((part) => isOurs(part.name) && part.name !== 'errorHandler')
    const reader = chain.slice(index).find((part) => part.name === 'readBody')
    if (!after || (reader && factsOf(reader.handle).takesParsedBody === true)) return []
    return [
      `A body parser (${name}) is mounted before ${after.name}(). Mount it after Tollway's middlewares, or only on your own ` +
        'paths: the body is forwarded as the bytes that came. Or mount readBody({ parsedBody: true }), which takes what the parser read.',
    ]
  })
}

function inversions(ours: readonly string[]): string[] {
  for (const [index, name] of ours.entries()) {
    const before = ours
      .slice(0, index)
      .find((earlier) => earlier !== name && CHAIN.indexOf(earlier) > CHAIN.indexOf(name))
    // A part may be mounted in several routers, so only check whether this one ran after its follower.
    if (before !== undefined && !ours.slice(0, ours.indexOf(before)).includes(name)) {
      return [`${before}() is mounted before ${name}(). Mount them in this order: ${CHAIN.join(', ')}.`]
    }
  }
  return []
}

function missing(chain: readonly Mounted[]): string[] {
  const reported = new Set<string>()
  const ours = chain.map(({ name }) => name)
  return chain.flatMap(({ name, handle }, index) =>
    (NEEDS[name] ?? []).flatMap((needed) => {
      const isThere = ours.slice(0, index).includes(needed)
      // Mounted behind: the order is reported already.
      if (isThere || reported.has(needed) || ours.includes(needed)) return []
      if (needed === 'modelRouter' && factsOf(handle).metersHandlers === true) return []
      reported.add(needed)
      return [`${name}() is mounted without ${needed}(). Mount ${needed}() before it: ${WHY[needed]}.`]
    }),
  )
}

function payments(chain: readonly Mounted[]): string[] {
  const places = chain.flatMap(({ name }, index) => (name === 'paymentInterceptor' ? [index] : []))
  const [first] = places
  if (first === undefined) return []
  const faults: string[] = []
  if (places.length > 1) {
    faults.push(
      'paymentInterceptor() is mounted twice. Mount it once: what the first hands on unpaid, the second could pay again.',
    )
  }
  const behind = chain.slice(first + 1)
  // Not by its name: a handler of the host may have any.
  const taker = behind.findIndex(
    ({ handle }) => factsOf(handle).takesReply === true && !isOfAnotherCopy(handle),
  )
  if (taker === -1) {
    faults.push(
      'Nothing behind paymentInterceptor() takes the answer: it would be paid for and thrown away. Mount sseRestreamer() behind it, or mark a handler of your own with takesReply().',
    )
  }
  const between = behind.slice(0, Math.max(0, taker)).find(mayAnswer)
  if (between) {
    faults.push(
      `A handler (${between.name || 'without a name'}) stands between paymentInterceptor() and what takes the answer: if it answered, threw or stopped, what was paid for would be thrown away. Mount it before paymentInterceptor(), or behind sseRestreamer().`,
    )
  }
  return faults
}

/** Whether a handler may end a request that was paid for. */
function mayAnswer({ name, handle, method }: Mounted): boolean {
  if (typeof handle !== 'function' || handle.length === HANDLES_ERRORS) return false
  if (method !== undefined && method !== 'post') return false
  return name === 'notFound' || !isMadeHere(handle)
}

/** The number of parameters by which Express knows a handler of errors. */
const HANDLES_ERRORS = 4

function otherCopies(chain: readonly Mounted[]): string[] {
  const pays = chain.some(({ name, handle }) => name === 'paymentInterceptor' && !isOfAnotherCopy(handle))
  return pays && chain.some(({ handle }) => isOfAnotherCopy(handle)) ? [ONE_COPY] : []
}
