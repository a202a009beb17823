import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { startSandbox, type Sandbox } from '../../src/app/sandbox/sandbox.ts'
import { ask } from '../kit/gateway.ts'

let sandbox: Sandbox
const proven = Promise.withResolvers<Extract<TollwayEvent, { type: 'charge' }>>()

beforeAll(async () => {
  const observe = (event: TollwayEvent): void => {
    if (event.type === 'charge' && event.charge.proof === 'chain') proven.resolve(event)
  }
  sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0, observers: [observe] })
})

afterAll(async () => {
  await sandbox?.close()
})

test('in the sandbox the chain proves a payment by itself, without a further one', async () => {
  const answer = await ask(sandbox.url, { model: 'paid/sandbox-small' })
  const transaction = answer.headers.get('x-tollway-transaction')
  await answer.text()
  expect(await proven.promise).toMatchObject({ from: 'settled', charge: { state: 'settled', transaction } })
})
