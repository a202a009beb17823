import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SharedBody } from '../../middleware/idempotency/shared-body.ts'
import type { Reply } from '../../src/core/request/exchange.ts'

/** A body whose chunks come when the test says so. */
class Source {
  readonly #chunks: (Uint8Array | Error | undefined)[] = []
  #wake = Promise.withResolvers<void>()
  destroyed = 0
  /** Chunks that were asked for. */
  pulled = 0

  give(...chunks: (string | Error | undefined)[]): this {
    this.#chunks.push(...chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk)))
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
    return this
  }

  destroy(): void {
    this.destroyed += 1
    this.give(undefined)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let index = 0; ; index++) {
      this.pulled += 1
      while (index >= this.#chunks.length) await this.#wake.promise
      const chunk = this.#chunks[index]
      if (chunk instanceof Error) throw chunk
      if (!chunk) return
      yield chunk
    }
  }
}

function share(source: Source, maxBytes = 1000): { body: SharedBody; size: () => number } {
  let size = 0
  const body = new SharedBody(source, { maxBytes, onSize: (change) => (size += change) })
  return { body, size: () => size }
}

async function text(body: Reply['body'] | undefined): Promise<string> {
  if (!body) throw new Error('there is no beginning any more')
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  body.destroy()
  return Buffer.concat(chunks).toString()
}

describe('readers', () => {
  test('each gets everything from the beginning, also one that comes in the middle or after the end', async () => {
    const source = new Source().give('a', 'b')
    const { body, size } = share(source)
    const first = body.read()
    const reading = text(first)
    const second = body.read()?.[Symbol.asyncIterator]()
    expect(Buffer.from((await second?.next())?.value ?? []).toString()).toBe('a')
    const late = text(body.read())
    source.give('c', undefined)
    expect(await reading).toBe('abc')
    expect(await late).toBe('abc')
    expect(await text(body.read())).toBe('abc')
    expect(size()).toBe(3)
    expect(source.destroyed).toBe(0)
  })

  test('one that leaves ends nothing for the other; with the last one the source is let go', async () => {
    const source = new Source().give('a')
    const { body, size } = share(source)
    const [one, other] = [body.read(), body.read()]
    const reading = text(other)
    one?.destroy()
    one?.destroy()
    expect(source.destroyed).toBe(0)
    source.give('b', undefined)
    expect(await reading).toBe('ab')

    const alone = share(new Source().give('a'))
    alone.body.read()?.destroy()
    expect(alone.body.isReadable).toBe(false)
    expect(alone.body.read()).toBeUndefined()
    expect([size(), alone.size()]).toEqual([2, 0])
  })

  test('all of them meet the break of the source, after what had come', async () => {
    const source = new Source().give('a', new Error('cut'))
    const { body } = share(source)
    for (const reader of [body.read(), body.read()]) {
      const got: string[] = []
      const reading = (async () => {
        for await (const chunk of reader ?? []) got.push(Buffer.from(chunk).toString())
      })()
      await expect(reading).rejects.toThrow('cut')
      expect(got).toEqual(['a'])
    }
  })

  test('the source is read only as fast as the fastest reader asks', async () => {
    const source = new Source().give('a', 'b', 'c', undefined)
    const { body } = share(source)
    const iterator = body.read()?.[Symbol.asyncIterator]()
    await iterator?.next()
    expect(source.pulled).toBe(1)
  })
})

describe('keeping', () => {
  test('reads on to the end though nobody reads', async () => {
    const source = new Source().give('a')
    const { body } = share(source)
    const reader = body.read()
    body.keep()
    reader?.destroy()
    source.give('b', undefined)
    expect(source.destroyed).toBe(0)
    expect(await text(body.read())).toBe('ab')
  })

  test('a forgotten body lets nobody begin, and those who read go on', async () => {
    const source = new Source().give('a', 'b')
    const { body, size } = share(source)
    const reader = body.read()?.[Symbol.asyncIterator]()
    await reader?.next()
    body.forget()
    expect(body.read()).toBeUndefined()
    source.give(undefined)
    expect(Buffer.from((await reader?.next())?.value ?? []).toString()).toBe('b')
    expect((await reader?.next())?.done).toBe(true)
    expect(size()).toBe(0)
  })

  test('a body over its share is not kept, and costs a single reader nothing', async () => {
    const source = new Source().give('xxxx', 'xxxx', 'xxxx', 'end', undefined)
    const { body, size } = share(source, 6)
    expect(await text(body.read())).toBe('xxxxxxxxxxxxend')
    expect(body.read()).toBeUndefined()
    expect(size()).toBe(0)
  })

  test('nobody reads on for a body that is not kept', async () => {
    const source = new Source().give('xxxx', 'xxxx')
    const { body } = share(source, 6)
    body.keep()
    body.read()
    while (source.destroyed === 0 && body.isReadable) await Promise.resolve()
    body.forget()
    expect(body.read()).toBeUndefined()
  })

  test('a reader that lags behind a body over its share is given up, the others are not', async () => {
    const source = new Source().give('xxxx', 'xxxx', 'xxxx', 'xxxx', undefined)
    const { body, size } = share(source, 9)
    const slow = body.read()?.[Symbol.asyncIterator]()
    await slow?.next()
    expect(await text(body.read())).toBe('x'.repeat(16))
    await expect(slow?.next()).rejects.toThrow('too slow')
    expect(size()).toBeLessThanOrEqual(9)
  })
})

test('whatever the chunks, the order of reading and the leaving, readers that stay get the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ minLength: 1, maxLength: 5 }), { maxLength: 8 }),
      fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
      async (chunks, leavers) => {
        const source = new Source().give(...chunks, undefined)
        const { body, size } = share(source)
        const stay = body.read()
        const left = leavers.map(async (after) => {
          const reader = body.read()
          let seen = ''
          for await (const chunk of reader ?? []) {
            seen += Buffer.from(chunk).toString()
            if (seen.length > after) break
          }
          reader?.destroy()
          return seen
        })
        const whole = chunks.join('')
        expect(await text(stay)).toBe(whole)
        for (const seen of await Promise.all(left)) expect(whole.startsWith(seen)).toBe(true)
        expect(size()).toBe(Buffer.byteLength(whole))
        body.forget()
        expect(size()).toBe(0)
      },
    ),
  )
})
