/** The invariants. Each function says in words what is broken; nothing said is all well. */
import type { BookedCharge, BookedWindow, Snapshot } from './books.ts'
import { ROLLING_MS } from './limits.ts'
import type { Answer } from './load.ts'
import type { UsedNonce } from './token.ts'

/** What the running checks look at: the chain is read before the ledger, so that every use has been recorded by then. */
export interface Running {
  readonly books: Snapshot
  readonly uses: readonly UsedNonce[]
  /** The largest limit any gateway was ever given, micro-USD, by budget. */
  readonly limits: ReadonlyMap<string, bigint>
  /** Instances that were dead before the newest gateway started. */
  readonly dead: ReadonlySet<string>
  /** Instances that were alive after the ledger was read. */
  readonly alive: ReadonlySet<string>
}

/** States that count as money. */
const MAY_BE_PAID: ReadonlySet<string> = new Set(['authorized', 'settled', 'uncertain'])

/** Holds at every moment. */
export function checkRunning({ books, uses, limits, dead, alive }: Running): string[] {
  return [
    ...totalsDiffer(books),
    ...budgetsExceeded(books, limits),
    ...paidTwice(books.charges, uses),
    ...movedWithoutBooks(books.charges, uses),
    ...books.charges.flatMap((charge) => {
      const { id, instance, state, reason } = charge
      if ((state === 'held' || state === 'authorized') && dead.has(instance)) {
        return [`${id} of the dead ${instance} is still ${state}`]
      }
      return reason === 'instance_dead' && alive.has(instance)
        ? [`${id} was taken from the living ${instance}`]
        : []
    }),
  ]
}

function totalsDiffer({ windows, recomputed }: Snapshot): string[] {
  const text = (list: readonly BookedWindow[]): string[] =>
    list.map((row) => `${idOf(row)}: spent ${row.spent}, counted ${row.counted}`)
  const [kept, added] = [new Set(text(windows)), new Set(text(recomputed))]
  return [
    ...[...kept]
      .filter((line) => !added.has(line))
      .map((line) => `the ledger keeps ${line}; its charges say otherwise`),
    ...[...added]
      .filter((line) => !kept.has(line))
      .map((line) => `the charges add up to ${line}; the ledger says otherwise`),
  ]
}

/** Looks at the highest sums since the beginning, not only at those of this moment. */
function budgetsExceeded(books: Snapshot, limits: ReadonlyMap<string, bigint>): string[] {
  const sums = [
    ...books.peaks.map((row) => ({ name: idOf(row), budget: row.budget, window: row.window, sum: row.peak })),
    ...books.windows.map((row) => ({
      name: idOf(row),
      budget: row.budget,
      window: row.window,
      sum: row.counted,
    })),
    ...fullestWindows(books),
  ]
  return sums.flatMap(({ name, budget, window, sum }) => {
    const limit = limits.get(budget) ?? 0n
    // What is kept of a rolling budget per second or day is no window of its own.
    return sum > limit && !window.startsWith('rolling-') ? [`budget ${name} came to ${sum} of ${limit}`] : []
  })
}

/** Of each rolling budget the stretch of its length in which most was taken. */
export function fullestWindows({ rolling }: Snapshot): {
  readonly name: string
  readonly budget: string
  readonly window: string
  readonly sum: bigint
}[] {
  const fullest = new Map<string, bigint>()
  let start = 0
  let sum = 0n
  for (const [index, { budget, at, amount }] of rolling.entries()) {
    if (rolling[index - 1]?.budget !== budget) {
      start = index
      sum = 0n
    }
    sum += amount
    for (let oldest = rolling[start]; oldest && oldest.at <= at - ROLLING_MS; oldest = rolling[start]) {
      sum -= oldest.amount
      start += 1
    }
    if (sum > (fullest.get(budget) ?? 0n)) fullest.set(budget, sum)
  }
  return [...fullest].map(([budget, most]) => ({
    name: `${budget} (rolling)`,
    budget,
    window: 'rolling',
    sum: most,
  }))
}

function paidTwice(charges: readonly BookedCharge[], uses: readonly UsedNonce[]): string[] {
  const requestOf = new Map(
    charges.flatMap(({ nonce, request }) => (nonce === null ? [] : [[nonce, request] as const])),
  )
  return [
    ...repeated(charges.filter(({ state }) => MAY_BE_PAID.has(state)).map(({ request }) => request)).map(
      (request) => `request ${request} has several charges that count`,
    ),
    ...repeated(charges.flatMap(({ nonce }) => nonce ?? [])).map(
      (nonce) => `nonce ${nonce} was recorded twice`,
    ),
    ...repeated(uses.map(({ nonce }) => nonce)).map((nonce) => `nonce ${nonce} was used twice`),
    ...repeated(uses.flatMap(({ nonce }) => requestOf.get(nonce) ?? [])).map(
      (request) => `request ${request} was paid twice on the chain`,
    ),
  ]
}

function movedWithoutBooks(charges: readonly BookedCharge[], uses: readonly UsedNonce[]): string[] {
  const byNonce = new Map(charges.map((charge) => [charge.nonce, charge]))
  return uses.flatMap(({ nonce, amount, to, transaction }) => {
    const charge = byNonce.get(nonce)
    if (!charge) return [`${transaction} used ${nonce}, which was never recorded`]
    if (!MAY_BE_PAID.has(charge.state))
      return [`${charge.id} was taken by ${transaction} and is ${charge.state}`]
    return charge.amount === amount && charge.payTo === to
      ? []
      : [`${charge.id} moved ${amount} to ${to} instead of ${charge.amount} to ${charge.payTo}`]
  })
}

/** What the final checks look at: nothing runs any more, and every authorization has run out on the chain. */
export interface Final {
  readonly books: Snapshot
  readonly uses: readonly UsedNonce[]
  /** What the buyer's balance fell by, smallest units. */
  readonly paidByBuyer: bigint
  /** Charges that the audit files hold an intent for. */
  readonly intents: ReadonlySet<string>
  /** What the audit files say last of each charge. */
  readonly lastWords: ReadonlyMap<string, string>
  readonly answers: readonly Answer[]
}

/** Holds after the last look at the chain: the ledger is the chain, to the atom. */
export function checkFinal({ books, uses, paidByBuyer, intents, lastWords, answers }: Final): string[] {
  const { charges } = books
  const settled = charges.filter(({ state }) => state === 'settled')
  const used = new Set(uses.map(({ nonce }) => nonce))
  const moved = uses.reduce((sum, { amount }) => sum + amount, 0n)
  const booked = settled.reduce((sum, { amount }) => sum + amount, 0n)
  return [
    ...(booked === moved ? [] : [`the ledger settled ${booked}, the chain moved ${moved}`]),
    ...(paidByBuyer === moved
      ? []
      : [`the buyer is ${paidByBuyer} poorer, its authorizations moved ${moved}`]),
    ...charges.flatMap(({ id, state }) =>
      state === 'settled' || state === 'released' ? [] : [`${id} is ${state} in the end`],
    ),
    ...settled.flatMap(({ id, nonce, proof, transaction }) => {
      if (nonce === null || !used.has(nonce)) return [`${id} is settled and was never taken`]
      const use = uses.find((one) => one.nonce === nonce)
      if (use?.transaction !== transaction) return [`${id} names ${transaction}, it was ${use?.transaction}`]
      return proof === 'chain' ? [] : [`${id} rests on ${proof} in the end`]
    }),
    ...charges.flatMap(({ id, nonce }) =>
      nonce !== null && used.has(nonce) && !intents.has(id)
        ? [`${id} was taken without an intent in an audit file`]
        : [],
    ),
    ...charges.flatMap(({ id, state }) => {
      const said = lastWords.get(id)
      return said === state ? [] : [`${id} is ${state}, the audit files say ${said}`]
    }),
    ...wrongAnswers(charges, used, answers),
  ]
}

/** A client that was told yes has paid, and one that was told no has not. */
function wrongAnswers(
  charges: readonly BookedCharge[],
  used: ReadonlySet<string>,
  answers: readonly Answer[],
): string[] {
  const byId = new Map(charges.map((charge) => [charge.id, charge]))
  const paid = new Set(
    charges.flatMap(({ nonce, request }) => (nonce !== null && used.has(nonce) ? [request] : [])),
  )
  const perhaps = new Set(answers.flatMap(({ request, spent }) => (spent === 'no' ? [] : [request])))
  return answers.flatMap(({ request, spent, charge, status }) => {
    if (spent === 'no' && status !== undefined && !perhaps.has(request) && paid.has(request)) {
      return [`${request} was told that nothing was spent, and was paid for`]
    }
    if (spent !== 'yes') return []
    const booked = charge === undefined ? undefined : byId.get(charge)
    return booked?.state === 'settled'
      ? []
      : [`${request} was told that ${charge} was spent; it is ${booked?.state}`]
  })
}

function idOf(row: Omit<BookedWindow, 'spent' | 'counted'>): string {
  return `${row.budget} (${row.subject}, ${row.window} from ${row.windowStart})`
}

function repeated(list: readonly string[]): string[] {
  const seen = new Set<string>()
  return [...new Set(list.filter((one) => (seen.has(one) ? true : (seen.add(one), false))))]
}
