/** What stock clients make of an answer, in one form for all of them. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import Anthropic from '@anthropic-ai/sdk'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, streamText } from 'ai'
import OpenAI from 'openai'
import { isJson, type AnswerKind } from '../../../src/core/stream/stream-json.ts'

/** What a client read, also of an answer that broke off. Choices by index; the other protocols have one. */
export interface Reading {
  texts: Record<number, string>
  reasoning: Record<number, string>
  /** Name and arguments of whole tool calls, by choice. */
  tools: Record<number, string[]>
  finish: Record<number, string>
  /** Input and output tokens. */
  usage: unknown[] | undefined
  /** Why the client threw; `undefined` when it did not. */
  failed: string | undefined
}

/** One client with one way to ask. */
export interface Reader {
  readonly name: string
  readonly kind: AnswerKind
  readonly stream: boolean
  /** Reads an answer into `reading`; throws whatever the client throws. */
  read(url: string, reading: Reading): Promise<void>
}

const ASK = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }
const settings = (url: string) => ({ baseURL: url, apiKey: 'unused', maxRetries: 0 })
const openai = (url: string): OpenAI => new OpenAI(settings(url))
const anthropic = (url: string): Anthropic => new Anthropic(settings(url))

function add(into: Record<number, string>, index: number, text: string | null | undefined): void {
  if (typeof text === 'string' && text !== '') into[index] = (into[index] ?? '') + text
}

function addTool(reading: Reading, index: number, name: unknown, input: unknown): void {
  const list = (reading.tools[index] ??= [])
  list.push(`${String(name)}(${typeof input === 'string' ? input : JSON.stringify(input)})`)
}

const chatJson: Reader = {
  name: 'openai chat',
  kind: 'chat',
  stream: false,
  async read(url, reading) {
    const answer = await openai(url).chat.completions.create(ASK)
    for (const { index, message, finish_reason: finish } of answer.choices) {
      add(reading.texts, index, message.content)
      add(reading.texts, index, message.refusal)
      add(reading.reasoning, index, (message as { reasoning_content?: string }).reasoning_content)
      for (const call of message.tool_calls ?? []) {
        if (call.type === 'function') addTool(reading, index, call.function.name, call.function.arguments)
      }
      reading.finish[index] = finish
    }
    reading.usage = [answer.usage?.prompt_tokens, answer.usage?.completion_tokens]
  },
}

const chatStream: Reader = {
  name: 'openai chat stream',
  kind: 'chat',
  stream: true,
  async read(url, reading) {
    const stream = await openai(url).chat.completions.create({
      ...ASK,
      stream: true,
      stream_options: { include_usage: true },
    })
    const calls = new Map<string, { index: number; name: string; input: string }>()
    for await (const chunk of stream) {
      if (chunk.usage) reading.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
      for (const { index, delta, finish_reason: finish } of chunk.choices) {
        add(reading.texts, index, delta.content)
        add(reading.texts, index, delta.refusal)
        add(reading.reasoning, index, (delta as { reasoning_content?: string }).reasoning_content)
        for (const piece of delta.tool_calls ?? []) {
          const key = `${index} ${piece.index}`
          const call = calls.get(key) ?? { index, name: '', input: '' }
          call.name += piece.function?.name ?? ''
          call.input += piece.function?.arguments ?? ''
          calls.set(key, call)
        }
        if (finish) reading.finish[index] = finish
      }
    }
    for (const { index, name, input } of calls.values()) addTool(reading, index, name, input)
  },
}

const textJson: Reader = {
  name: 'openai text',
  kind: 'text',
  stream: false,
  async read(url, reading) {
    const answer = await openai(url).completions.create({ model: 'm', prompt: 'hi' })
    for (const { index, text, finish_reason: finish } of answer.choices) {
      add(reading.texts, index, text)
      reading.finish[index] = finish
    }
    reading.usage = [answer.usage?.prompt_tokens, answer.usage?.completion_tokens]
  },
}

const textStream: Reader = {
  name: 'openai text stream',
  kind: 'text',
  stream: true,
  async read(url, reading) {
    for await (const chunk of await openai(url).completions.create({
      model: 'm',
      prompt: 'hi',
      stream: true,
      stream_options: { include_usage: true },
    })) {
      if (chunk.usage) reading.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
      for (const { index, text, finish_reason: finish } of chunk.choices) {
        add(reading.texts, index, text)
        if ((finish as string | null) !== null) reading.finish[index] = finish
      }
    }
  },
}

function readItem(reading: Reading, item: OpenAI.Responses.ResponseOutputItem, texts: boolean): void {
  if (item.type === 'function_call') addTool(reading, 0, item.name, item.arguments)
  if (!texts) return
  if (item.type === 'message') {
    for (const part of item.content)
      add(reading.texts, 0, part.type === 'output_text' ? part.text : part.refusal)
  }
  if (item.type === 'reasoning') for (const { text } of item.summary) add(reading.reasoning, 0, text)
}

const responsesJson: Reader = {
  name: 'openai responses',
  kind: 'responses',
  stream: false,
  async read(url, reading) {
    const answer = await openai(url).responses.create({ model: 'm', input: 'hi' })
    for (const item of answer.output) readItem(reading, item, true)
    reading.finish[0] = String(answer.status)
    reading.usage = [answer.usage?.input_tokens, answer.usage?.output_tokens]
  },
}

const responsesStream: Reader = {
  name: 'openai responses stream',
  kind: 'responses',
  stream: true,
  async read(url, reading) {
    for await (const event of await openai(url).responses.create({ model: 'm', input: 'hi', stream: true })) {
      if (event.type === 'response.output_text.delta') add(reading.texts, 0, event.delta)
      if (event.type === 'response.reasoning_summary_text.delta') add(reading.reasoning, 0, event.delta)
      if (event.type === 'response.output_item.done') readItem(reading, event.item, false)
      if (event.type !== 'response.completed' && event.type !== 'response.incomplete') continue
      reading.finish[0] = String(event.response.status)
      reading.usage = [event.response.usage?.input_tokens, event.response.usage?.output_tokens]
    }
  },
}

const messageJson: Reader = {
  name: 'anthropic',
  kind: 'anthropic',
  stream: false,
  async read(url, reading) {
    const answer = await anthropic(url).messages.create({ ...ASK, max_tokens: 9 })
    for (const block of answer.content) {
      if (block.type === 'text') add(reading.texts, 0, block.text)
      if (block.type === 'thinking') add(reading.reasoning, 0, block.thinking)
      if (block.type === 'tool_use') addTool(reading, 0, block.name, block.input)
    }
    reading.finish[0] = String(answer.stop_reason)
    reading.usage = [answer.usage.input_tokens, answer.usage.output_tokens]
  },
}

const messageStream: Reader = {
  name: 'anthropic stream',
  kind: 'anthropic',
  stream: true,
  async read(url, reading) {
    const names = new Map<number, { name: string; input: string }>()
    for await (const event of await anthropic(url).messages.create({ ...ASK, max_tokens: 9, stream: true })) {
      if (event.type === 'message_start') reading.usage = [event.message.usage.input_tokens, 0]
      if (event.type === 'content_block_start' && event.content_block.type === 'tool_use') {
        names.set(event.index, { name: event.content_block.name, input: '' })
      }
      if (event.type === 'content_block_delta') {
        const { delta } = event
        if (delta.type === 'text_delta') add(reading.texts, 0, delta.text)
        if (delta.type === 'thinking_delta') add(reading.reasoning, 0, delta.thinking)
        const tool = names.get(event.index)
        if (delta.type === 'input_json_delta' && tool) tool.input += delta.partial_json
      }
      if (event.type !== 'message_delta') continue
      reading.finish[0] = String(event.delta.stop_reason)
      reading.usage = [reading.usage?.[0], event.usage.output_tokens]
    }
    for (const { name, input } of names.values()) addTool(reading, 0, name, input)
  },
}

const provider = (url: string) =>
  createOpenAICompatible({ name: 'seller', baseURL: url, apiKey: 'unused', includeUsage: true })('m')

const aiJson: Reader = {
  name: 'ai',
  kind: 'chat',
  stream: false,
  async read(url, reading) {
    const answer = await generateText({ model: provider(url), prompt: 'hi', maxRetries: 0 })
    add(reading.texts, 0, answer.text)
    add(reading.reasoning, 0, answer.reasoningText)
    for (const { toolName, input } of answer.toolCalls) addTool(reading, 0, toolName, input)
    reading.finish[0] = answer.finishReason
    reading.usage = [answer.usage.inputTokens, answer.usage.outputTokens]
  },
}

const aiStream: Reader = {
  name: 'ai stream',
  kind: 'chat',
  stream: true,
  async read(url, reading) {
    const { fullStream } = streamText({
      model: provider(url),
      prompt: 'hi',
      maxRetries: 0,
      onError: () => undefined,
    })
    for await (const part of fullStream) {
      if (part.type === 'error') throw part.error
      if (part.type === 'text-delta') add(reading.texts, 0, part.text)
      if (part.type === 'reasoning-delta') add(reading.reasoning, 0, part.text)
      if (part.type === 'tool-call') addTool(reading, 0, part.toolName, part.input)
      if (part.type !== 'finish') continue
      reading.finish[0] = part.finishReason
      reading.usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens]
    }
  },
}

function usageOf(message: object): unknown[] | undefined {
  const usage: unknown = Reflect.get(message, 'usage_metadata')
  return isJson(usage) ? [usage['input_tokens'], usage['output_tokens']] : undefined
}

const langchain = (url: string): ChatOpenAI =>
  new ChatOpenAI({ model: 'm', apiKey: 'unused', maxRetries: 0, configuration: { baseURL: url } })

const langchainJson: Reader = {
  name: 'LangChain',
  kind: 'chat',
  stream: false,
  async read(url, reading) {
    const answer = await langchain(url).invoke('hi')
    add(reading.texts, 0, answer.text)
    for (const { name, args } of answer.tool_calls ?? []) addTool(reading, 0, name, args)
    reading.usage = usageOf(answer)
  },
}

const langchainStream: Reader = {
  name: 'LangChain stream',
  kind: 'chat',
  stream: true,
  async read(url, reading) {
    for await (const chunk of await langchain(url).stream('hi')) {
      add(reading.texts, 0, chunk.text)
      reading.usage = usageOf(chunk) ?? reading.usage
    }
  },
}

/** One client's ways to ask. */
export interface ReaderPair {
  readonly json: Reader
  readonly stream: Reader
  /** How many choices it reads; `undefined` for all. */
  readonly choices: number | undefined
}

/** The pairs of readers that read the same answer as JSON and as a stream. */
export const READERS: readonly ReaderPair[] = [
  { json: chatJson, stream: chatStream, choices: undefined },
  { json: textJson, stream: textStream, choices: undefined },
  { json: responsesJson, stream: responsesStream, choices: undefined },
  { json: messageJson, stream: messageStream, choices: undefined },
  { json: aiJson, stream: aiStream, choices: 1 },
  { json: langchainJson, stream: langchainStream, choices: 1 },
]

/** Reads an answer, whatever the client throws. */
export async function readAnswer(reader: Reader, url: string): Promise<Reading> {
  const reading: Reading = {
    texts: {},
    reasoning: {},
    tools: {},
    finish: {},
    usage: undefined,
    failed: undefined,
  }
  try {
    await reader.read(url, reading)
  } catch (error) {
    reading.failed = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  }
  return reading
}
