import { PassThrough } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { progressBar } from '../../src/app/cli/output/progress.ts'
import { FakeTerminal } from './fake-terminal.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('a bar draws what is done while the work goes on, and nothing without a terminal', () => {
  const screen = new PassThrough()
  let drawn = ''
  screen.on('data', (chunk: Buffer) => (drawn += chunk.toString()))
  const progress = Object.assign(screen, { isTTY: true, columns: 100, rows: 24 }) as unknown as WriteStream
  const bar = progressBar(Object.assign(new FakeTerminal(), { progress }), 'signing')
  bar.at(0, 120)
  expect(drawn).toMatch(/signing \[.*\] 0\/120/)
  bar.at(100, 120)
  vi.advanceTimersByTime(1000)
  expect(drawn).toMatch(/signing \[.*\] 100\/120/)
  bar.end()
  expect(vi.getTimerCount()).toBe(0)

  const silent = new FakeTerminal()
  const none = progressBar(silent, 'signing')
  none.at(1, 2)
  none.end()
  expect(silent.out + silent.err).toBe('')
})
