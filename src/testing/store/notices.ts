/** What every store must do with notices. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { NewNotice, NoticeStore } from '../../io/store/contracts/notices.ts'
import { MAX_ENDED_NOTICES } from '../../io/store/contracts/notices.ts'
import type { Store } from '../../io/store/store.ts'
import { NOW } from './samples.ts'

const notice = (n: number, changes: Partial<NewNotice> = {}): NewNotice => ({
  id: `apr_${n}`,
  kind: 'approval',
  instance: 'ins_1',
  at: NOW + n,
  body: JSON.stringify({ n, text: 'a "quoted" \u00ef' }),
  ...changes,
})
const OPEN = { attempts: 0, result: undefined, endedAt: undefined }

/** @param current the store of the running test */
export function noticesConformance(current: () => Store): void {
  let notices: NoticeStore
  beforeEach(() => {
    notices = current().notices
  })

  describe('notices', () => {
    test('are open with their first words, once for each id, the oldest first, by kind', async () => {
      expect(await notices.add(notice(2))).toBe(true)
      expect(await notices.add(notice(1))).toBe(true)
      expect(await notices.add(notice(1, { body: '{}' }))).toBe(false)
      expect(await notices.add(notice(3, { kind: 'message' }))).toBe(true)
      expect(await notices.list({ kind: 'approval', state: 'open' })).toEqual([
        { ...notice(1), ...OPEN },
        { ...notice(2), ...OPEN },
      ])
      expect(await notices.list({ kind: 'approval', state: 'open', limit: 1 })).toHaveLength(1)
      expect(await notices.find('apr_3')).toEqual({ ...notice(3, { kind: 'message' }), ...OPEN })
      expect(await notices.find('apr_9')).toBeUndefined()
    })

    test('end once: the first end counts', async () => {
      await notices.add(notice(1))
      expect(await notices.end('apr_1', 'refused', NOW + 5)).toBe(true)
      expect(await notices.end('apr_1', 'approved', NOW + 6)).toBe(false)
      expect(await notices.end('apr_9', 'approved', NOW + 6)).toBe(false)
      expect(await notices.list({ kind: 'approval', state: 'open' })).toEqual([])
      expect(await notices.list({ kind: 'approval', state: 'ended' })).toEqual([
        { ...notice(1), attempts: 0, result: 'refused', endedAt: NOW + 5 },
      ])
      expect(await notices.list({ kind: 'message', state: 'ended' })).toEqual([])
    })

    test('that end at once by two hands end by one of them', async () => {
      await notices.add(notice(1))
      const ends = await Promise.all([
        notices.end('apr_1', 'approved', NOW),
        notices.end('apr_1', 'refused', NOW),
      ])
      expect(ends.filter((isEnd) => isEnd)).toHaveLength(1)
    })

    test('count their attempts while they are open', async () => {
      await notices.add(notice(1))
      expect([await notices.attempt('apr_1'), await notices.attempt('apr_1')]).toEqual([1, 2])
      expect(await notices.find('apr_1')).toMatchObject({ attempts: 2 })
      await notices.end('apr_1', 'delivered', NOW)
      expect([await notices.attempt('apr_1'), await notices.attempt('apr_9')]).toEqual([undefined, undefined])
      await notices.remove('apr_1')
      expect(await notices.find('apr_1')).toBeUndefined()
    })

    test('of a process that ended go to another one, open ones alone and only once', async () => {
      for (const n of [2, 1, 3]) await notices.add(notice(n))
      await notices.add(notice(4, { instance: 'ins_3' }))
      await notices.end('apr_3', 'refused', NOW)
      const adopted = await notices.adopt('ins_1', 'ins_2')
      expect(adopted.map(({ id, instance }) => [id, instance])).toEqual([
        ['apr_1', 'ins_2'],
        ['apr_2', 'ins_2'],
      ])
      expect(await notices.adopt('ins_1', 'ins_4')).toEqual([])
      expect((await notices.find('apr_4'))?.instance).toBe('ins_3')
    })

    test('that ended are bounded, the newest stay', async () => {
      const each = Array.from({ length: MAX_ENDED_NOTICES }, (_, at) => at + 1)
      await Promise.all(each.map((n) => notices.add(notice(n))))
      await Promise.all(each.map((n) => notices.end(`apr_${n}`, 'left', NOW + n)))
      expect(await notices.find('apr_1')).toBeDefined()
      const last = MAX_ENDED_NOTICES + 1
      await notices.add(notice(last))
      await notices.end(`apr_${last}`, 'left', NOW + last)
      expect(await notices.find('apr_1')).toBeUndefined()
      expect(await notices.find('apr_2')).toBeDefined()
      const ended = await notices.list({ kind: 'approval', state: 'ended', limit: 5_000 })
      expect(ended).toHaveLength(MAX_ENDED_NOTICES)
      expect(ended[0]?.id).toBe(`apr_${last}`)
    })
  })
}
