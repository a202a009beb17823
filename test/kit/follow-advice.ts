/** Does what a message says, word for word: finds the lines of configuration in it, and writes them into one. */
import { parse } from 'yaml'

/** A configuration as it is written. */
export type Written = Readonly<Record<string, unknown>>

const KEYS =
  /\b(?:networks|assets|payers|methods|chains|budgets|policy|admin|metrics|callers|keys|paid_endpoints|api_base): (?=[[{"])/g

/** The lines in a message: everything from `key: {`, `key: [` or `key: "` to the character that closes it. */
export function linesIn(message: string): Written[] {
  const lines: Written[] = []
  let end = 0
  for (const { index, 0: key } of message.matchAll(KEYS)) {
    // What is inside of a line belongs to it.
    if (index < end) continue
    end = endOf(message, index + key.length)
    lines.push(parse(message.slice(index, end)) as Written)
  }
  return lines
}

function endOf(message: string, start: number): number {
  if (message[start] === '"') return message.indexOf('"', start + 1) + 1
  let depth = 0
  let at = start
  do {
    const character = message[at]
    if (character === '[' || character === '{') depth += 1
    if (character === ']' || character === '}') depth -= 1
    at += 1
  } while (depth > 0 && at < message.length)
  return at
}

/** A configuration after its only route, and whatever else a message names, were changed as the message says. */
export function followed(config: Written, message: string): Written {
  return linesIn(message).reduce(followedLine, config)
}

function followedLine(config: Written, line: Written): Written {
  const { networks, payers, assets, paid_endpoints, api_base, ...top } = line
  const [route, ...others] = (config['model_list'] ?? []) as [Written, ...Written[]]
  const own = (config['payers'] ?? {}) as Record<string, Written>
  // A payer that is added is named by the route.
  const [added] = Object.keys(payers ?? {})
  const payer = added ?? String(route?.['payer'])
  const changed = {
    ...route,
    ...(added === undefined ? {} : { payer }),
    ...(paid_endpoints === undefined ? {} : { paid_endpoints }),
    ...(api_base === undefined ? {} : { api_base }),
  }
  return {
    ...config,
    ...(route ? { model_list: [changed, ...others] } : {}),
    ...(payers === undefined ? {} : { payers: { ...own, ...payers } }),
    ...(networks === undefined ? {} : { payers: { ...own, [payer]: { ...own[payer], networks } } }),
    ...(assets === undefined
      ? {}
      : { assets: [...((config['assets'] ?? []) as unknown[]), ...(assets as unknown[])] }),
    ...Object.fromEntries(Object.entries(top).map(([key, value]) => [key, merged(config[key], value)])),
  }
}

/** Objects are joined member by member, anything else is replaced. */
function merged(before: unknown, after: unknown): unknown {
  if (!isPlain(before) || !isPlain(after)) return after
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return Object.fromEntries(
    keys.map((key) => [key, key in after ? merged(before[key], after[key]) : before[key]]),
  )
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
