// One turn of OpenClaw, paid through Tollway: node start.mjs 'What is the capital of France?'
// Needs OpenClaw: npm install --global openclaw
import { randomUUID } from 'node:crypto'
import { runBeside } from '../run-beside.mjs'

// What OpenClaw shows to Tollway.
process.env.TOLLWAY_KEY ??= randomUUID()

const prompt = process.argv[2] ?? 'Say hello.'
await runBeside(import.meta.dirname, 'openclaw', [
  'agent',
  'exec',
  prompt,
  '--config',
  'openclaw.json',
  '--json',
])
