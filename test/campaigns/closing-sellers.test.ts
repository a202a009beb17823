import { expect, test } from 'vitest'
import { renderClosing, runClosingSellers } from './closing-sellers.ts'

test('rule 4: no payment is uncertain that a seller closing right behind its 402 never read', async () => {
  const rows = await runClosingSellers(48)
  const told = renderClosing(rows)
  for (const row of rows) {
    expect(row, told).toMatchObject({ unread: 0, uncertain: 0 })
    expect(row.read, told).toBe(row.settled)
  }
  expect(
    rows.slice(0, 3).every(({ served }) => served > 0),
    told,
  ).toBe(true)
})
