import { expect, test } from 'vitest'
import { runHostileAnswers, runLargeAnswers } from './hostile-answers/campaign.ts'
import { CLIENTS } from './hostile-answers/clients.ts'

test('rule 5: stock clients pay once for an answer, however it is damaged', async () => {
  const { clients, notOnce } = await runHostileAnswers(20, 7)
  expect(notOnce).toEqual([])
  expect([...clients.keys()]).toEqual(CLIENTS.map(({ name }) => name))
  // Some answers can be used all the same, and some cannot.
  for (const [name, { answered }] of clients) {
    expect(answered, name).toBeGreaterThan(2)
    expect(answered, name).toBeLessThan(20)
  }
})

test('rule 5: stock clients pay once for a large answer that breaks off', async () => {
  // Half of the clients meet a reset, half an answer that ends too early; the campaign has both for each.
  expect((await runLargeAnswers(9_000_000, 'alternate')).notOnce).toEqual([])
})
