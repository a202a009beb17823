/** docs/quick-starts.md: few lines for each role, and commands that exist. `node test/tools/quick-starts.ts` runs them. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { allCommands, commandTree } from '../../src/app/cli/reference/command-tree.ts'
import { createProgram } from '../../src/app/cli/run.ts'
import { blocksOf } from '../kit/markdown.ts'
import { FakeTerminal } from './fake-terminal.ts'

const blocks = blocksOf(readFileSync(new URL('../../docs/quick-starts.md', import.meta.url), 'utf8'))
const COMMANDS = allCommands(
  commandTree(createProgram({ terminal: new FakeTerminal(), end: () => undefined })),
)

test('there is one for each role', () => {
  expect(blocks.map(({ marker }) => marker)).toEqual(['operator', 'grafana', 'openclaw', 'developer'])
})

test.each(blocks)('$marker: at most five lines, the first two without a choice to make', ({ text }) => {
  const lines = text.trim().split('\n')
  expect(lines.length).toBeLessThanOrEqual(5)
  expect(lines[0]).toBe('tollway init --sandbox --yes')
})

test.each(blocks)('$marker: every command and option exists', ({ text }) => {
  for (const line of text.split('\n').filter((one) => one.startsWith('tollway '))) {
    const words = line.replace(/ &$/, '').split(' ')
    const found = COMMANDS.findLast(({ path }) => path.every((word, at) => words[at] === word))
    const options = words.filter((word) => word.startsWith('--'))
    expect(found?.options.flatMap(({ names }) => names)).toEqual(expect.arrayContaining(options))
    expect(found?.path.length).toBeGreaterThan(1)
  }
})
