// LiteLLM in front, on port 4000, and Tollway behind it. Needs LiteLLM: pip install 'litellm[proxy]'
import { randomUUID } from 'node:crypto'
import { runBeside } from '../run-beside.mjs'

// What LiteLLM shows to Tollway.
process.env.TOLLWAY_KEY ??= randomUUID()
// What clients show to LiteLLM.
process.env.LITELLM_KEY ??= `sk-${randomUUID()}`
console.log(`LiteLLM takes the key ${process.env.LITELLM_KEY}`)

await runBeside(import.meta.dirname, 'litellm', [
  '--config',
  'litellm.yaml',
  '--host',
  '127.0.0.1',
  '--port',
  '4000',
])
