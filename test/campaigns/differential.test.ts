import { expect, test } from 'vitest'
import { DISTURBANCES, runDifferential } from './differential/campaign.ts'
import { READERS } from './differential/readers.ts'

test('stock clients read the same through Tollway as directly, but for the cost and documented repairs', async () => {
  const { compared, differences } = await runDifferential(3, 13)
  expect(differences).toEqual([])
  expect(compared.size).toBe(2 * READERS.length * DISTURBANCES.length)
}, 120_000)
