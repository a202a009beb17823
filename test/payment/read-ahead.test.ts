import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readAhead } from '../../src/payment/answer/read-ahead.ts'

function sent(...texts: string[]): Readable {
  const body = new Readable({ read: () => undefined })
  for (const text of texts) body.push(text)
  return body
}

async function readBack(body: AsyncIterable<Uint8Array>): Promise<{ text: string; error: unknown }> {
  let text = ''
  try {
    for await (const chunk of body) text += Buffer.from(chunk).toString()
  } catch (error) {
    return { text, error }
  }
  return { text, error: undefined }
}

test('what came before the body broke off is given first, though nobody had asked for it yet', async () => {
  const body = sent('one ', 'two')
  const ahead = readAhead(body)
  for (let turn = 0; turn < 3; turn += 1) await nextTurn()
  const broken = new Error('broke off')
  body.destroy(broken)
  await nextTurn()
  expect(await readBack(ahead)).toEqual({ text: 'one two', error: broken })
})

test.each([
  ['before it is asked for', true],
  ['while it is read', false],
])('a body is given whole and in order when it ends %s', async (_when, early) => {
  const body = sent('one ')
  const ahead = readAhead(body)
  if (early) {
    body.push('two')
    body.push(null)
    for (let turn = 0; turn < 3; turn += 1) await nextTurn()
    expect(await readBack(ahead)).toEqual({ text: 'one two', error: undefined })
    return
  }
  const reading = readBack(ahead)
  await nextTurn()
  body.push('two')
  body.push(null)
  expect(await reading).toEqual({ text: 'one two', error: undefined })
})

test('reads no more than its bound before it is asked', async () => {
  let given = 0
  const body = Readable.from(
    (function* () {
      for (; given < 100; given += 1) yield Buffer.alloc(16_384)
    })(),
    { highWaterMark: 1 },
  )
  const ahead = readAhead(body)
  for (let turn = 0; turn < 300; turn += 1) await nextTurn()
  expect(given).toBeLessThan(12)
  const { text } = await readBack(ahead)
  expect(text).toHaveLength(100 * 16_384)
})

test('a reader that stops lets go of the body', async () => {
  const body = sent('one ', 'two')
  for await (const chunk of readAhead(body)) {
    expect(Buffer.from(chunk).toString()).toMatch(/^one/)
    break
  }
  expect(body.destroyed).toBe(true)
})
