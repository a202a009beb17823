// Tollway in front, and LiteLLM behind it, on port 4000. Needs LiteLLM: pip install 'litellm[proxy]'
import { randomUUID } from 'node:crypto'
import { runBeside } from '../run-beside.mjs'

process.env.LITELLM_URL ??= 'http://127.0.0.1:4000/v1'
// What Tollway shows to LiteLLM.
process.env.LITELLM_KEY ??= `sk-${randomUUID()}`

await runBeside(import.meta.dirname, 'litellm', [
  '--config',
  'litellm.yaml',
  '--host',
  '127.0.0.1',
  '--port',
  '4000',
])
