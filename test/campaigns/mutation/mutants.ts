/** The mutants of a source file: standard operators, found in its syntax tree. */
import { parseAst } from 'vitest/node'

/** One change of a file. */
export interface Mutant {
  readonly start: number
  readonly end: number
  readonly text: string
  /** What was changed into what, for the report. */
  readonly what: string
  readonly line: number
}

const SWAPS: Readonly<Record<string, string>> = {
  '===': '!==',
  '!==': '===',
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '&&': '||',
  '||': '&&',
  '??': '&&',
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [name: string]: unknown
}

/** All mutants of a file's text, in the order of their places. */
export function mutantsOf(source: string): Mutant[] {
  const found: Omit<Mutant, 'line'>[] = []
  const add = (start: number, end: number, text: string): void => {
    found.push({ start, end, text, what: `${short(source.slice(start, end))} -> ${short(text)}` })
  }
  const visit = (node: Node): void => {
    // Types are not run.
    if (/^TS(?!As|NonNull|Satisfies)/.test(node.type)) return
    const { left, right, operator } = node
    const swap = typeof operator === 'string' ? SWAPS[operator] : undefined
    if (
      swap !== undefined &&
      isNode(left) &&
      isNode(right) &&
      /^(?:Binary|Logical)Expression$/.test(node.type)
    ) {
      const at = source.indexOf(String(operator), left.end)
      add(at, at + String(operator).length, swap)
    }
    if (/^(?:If|Conditional)/.test(node.type) && isNode(node['test'])) {
      const { start, end } = node['test']
      add(start, end, 'true')
      add(start, end, 'false')
    }
    if (node.type === 'UnaryExpression' && operator === '!' && isNode(node['argument'])) {
      add(node.start, node.end, source.slice(node['argument'].start, node['argument'].end))
    }
    if (node.type === 'Literal' && typeof node['value'] === 'boolean')
      add(node.start, node.end, String(!node['value']))
    if (node.type === 'Literal' && typeof node['value'] === 'number')
      add(node.start, node.end, String(node['value'] + 1))
    if (node.type === 'Literal' && typeof node['bigint'] === 'string')
      add(node.start, node.end, `${BigInt(node['bigint']) + 1n}n`)
    for (const child of Object.values(node)) {
      for (const one of Array.isArray(child) ? child : [child]) if (isNode(one)) visit(one)
    }
  }
  const tree: unknown = parseAst(source, { lang: 'ts' })
  if (isNode(tree)) visit(tree)
  return found
    .toSorted((a, b) => a.start - b.start || a.end - b.end)
    .map((mutant) => ({ ...mutant, line: source.slice(0, mutant.start).split('\n').length }))
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value && 'end' in value
}

function short(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ')
  return line.length > 50 ? `${line.slice(0, 47)}...` : line
}
