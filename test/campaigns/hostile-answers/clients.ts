/** The stock clients, unchanged but for their base URL: each with the retries that it has by default. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import Anthropic from '@anthropic-ai/sdk'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, streamText } from 'ai'
import OpenAI from 'openai'
import type { Protocol } from './answers.ts'

/** One stock client. */
export interface Client {
  readonly name: string
  readonly protocol: Protocol
  /** Asks once and reads the answer to its end. @throws whatever the client throws */
  ask(url: string, prompt: string, stream: boolean): Promise<void>
}

const MODEL = 'paid/m'
const KEY = 'unused'

const openai: Client = {
  name: 'openai',
  protocol: 'chat',
  async ask(url, prompt, stream) {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY })
    const messages = [{ role: 'user' as const, content: prompt }]
    const { completions } = client.chat
    if (stream) await readAll(await completions.create({ model: MODEL, messages, stream }))
    else await completions.create({ model: MODEL, messages })
  },
}

const ai: Client = {
  name: 'ai',
  protocol: 'chat',
  async ask(url, prompt, stream) {
    const provider = createOpenAICompatible({
      name: 'tollway',
      baseURL: `${url}/v1`,
      apiKey: KEY,
      includeUsage: true,
    })
    const options = { model: provider(MODEL), prompt }
    if (!stream) {
      await generateText(options)
      return
    }
    const { fullStream } = streamText({ ...options, onError: () => undefined })
    for await (const part of fullStream) if (part.type === 'error') throw part.error
  },
}

const langchain: Client = {
  name: 'LangChain',
  protocol: 'chat',
  async ask(url, prompt, stream) {
    const chat = new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration: { baseURL: `${url}/v1` } })
    if (stream) await readAll(await chat.stream(prompt))
    else await chat.invoke(prompt)
  },
}

const anthropic: Client = {
  name: 'Anthropic',
  protocol: 'messages',
  async ask(url, prompt, stream) {
    const client = new Anthropic({ baseURL: url, apiKey: KEY })
    const request = {
      model: MODEL,
      max_tokens: 100,
      messages: [{ role: 'user' as const, content: prompt }],
    }
    if (stream) await client.messages.stream(request).finalMessage()
    else await client.messages.create(request)
  },
}

/** All of them. */
export const CLIENTS: readonly Client[] = [openai, ai, langchain, anthropic]

async function readAll(parts: AsyncIterable<unknown>): Promise<void> {
  for await (const part of parts) if (part === undefined) throw new TypeError('a part of a stream is missing')
}
