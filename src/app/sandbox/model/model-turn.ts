/** Decides what the sandbox's model answers, independent of the API. */
import { createHash } from 'node:crypto'
import { compose, type Spoken } from './model-text.ts'

/** A conversation in a form independent of any API. */
export interface Conversation {
  readonly model: string
  /** Everything the client sent as text: the basis of token counts and ids. */
  readonly text: string
  /** The user's text since the model's last turn. */
  readonly question: string
  /** The tools' results since the model's last turn. */
  readonly results: readonly string[]
  /** Names of the tools the model may call. */
  readonly tools: readonly string[]
  /** A name means: this tool or none. */
  readonly choice: 'auto' | 'none' | 'required' | { readonly name: string }
  /** A word is a token here. */
  readonly maxTokens?: number | undefined
  /** JSON Schema of the answer. */
  readonly schema?: unknown
}

/** A tool call. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  /** JSON. */
  readonly arguments: string
}

/** The model's turn. */
export interface Turn {
  readonly spoken: Spoken
  /** If there are calls, the turn has no text. */
  readonly calls: readonly ToolCall[]
  /** 24 hex digits, the same for the same conversation. */
  readonly id: string
  readonly inputTokens: number
  readonly outputTokens: number
}

/** One event of a stream whose events have names; the type is the name. */
export interface ModelEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** `Call get_weather with {"city":"Oslo"}`: how a question makes the model call a tool. */
const WISH = /\bcall ([A-Za-z_][\w-]*)(?: with (\{[^{}]*\}))?/gi

/** Generates a turn: always the same for the same conversation. */
export function takeTurn(conversation: Conversation): Turn {
  const { model, text, question, results, schema, maxTokens } = conversation
  const id = createHash('sha256')
    .update(JSON.stringify([model, text]))
    .digest('hex')
    .slice(0, 24)
  const calls = results.length > 0 ? [] : wishedCalls(conversation, id)
  const spoken =
    schema === undefined
      ? compose(results.length > 0 ? results.join(' ') : question, maxTokens)
      : { pieces: inPieces(JSON.stringify(sampleOf(schema))), finishReason: 'stop' as const }
  return {
    spoken: calls.length > 0 ? { pieces: [], finishReason: 'stop' } : spoken,
    calls,
    id,
    inputTokens: Math.ceil(text.length / 4),
    outputTokens: calls.length > 0 ? calls.length : spoken.pieces.length,
  }
}

function wishedCalls({ question, tools, choice }: Conversation, id: string): ToolCall[] {
  if (choice === 'none' || tools.length === 0) return []
  const wished = [...question.matchAll(WISH)]
    .map(([, name = '', json = '{}']) => ({ name, arguments: json }))
    .filter(({ name }) => tools.includes(name) && (typeof choice === 'string' || choice.name === name))
  const forced = typeof choice === 'object' ? choice.name : choice === 'required' ? tools[0] : undefined
  const calls = wished.length === 0 && forced !== undefined ? [{ name: forced, arguments: '{}' }] : wished
  return calls.map((call, index) => ({ ...call, id: `call_${id.slice(0, 16)}${index}` }))
}

function inPieces(text: string): string[] {
  return text.match(/.{1,8}/gsu) ?? []
}

/** The simplest value that a schema allows. */
function sampleOf(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return {}
  const { type, properties, items, enum: choices }: Readonly<Record<string, unknown>> = { ...schema }
  if (Array.isArray(choices)) return choices[0] as unknown
  switch (Array.isArray(type) ? (type[0] as unknown) : type) {
    case 'string':
      return 'paid'
    case 'integer':
    case 'number':
      return 1
    case 'boolean':
      return true
    case 'null':
      return null
    case 'array':
      return [sampleOf(items)]
    default:
      return Object.fromEntries(
        Object.entries(typeof properties === 'object' && properties !== null ? properties : {}).map(
          ([key, value]) => [key, sampleOf(value)],
        ),
      )
  }
}
