import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Command } from 'commander'
import { createProgram, run } from '../../src/app/cli/run.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { tollway } from './tollway.ts'

/** The words of every command, found by walking the program: a new command is covered without being listed here. */
function everyCommand(): string[][] {
  const walk = (command: Command, words: string[]): string[][] => [
    words,
    ...command.commands.flatMap((sub) => walk(sub, [...words, sub.name()])),
  ]
  return walk(createProgram({ terminal: new FakeTerminal(), end: () => undefined }), [])
}

it('prints the version of the package with --version', async () => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const version = /"version": "([^"]+)"/.exec(manifest)?.[1]
  expect(await tollway(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('--help', () => {
  for (const command of everyCommand()) {
    const name = ['tollway', ...command].join(' ')
    it(`of "${name}" ends with examples and exit codes, and shows no meaningless default`, async () => {
      const terminal = new FakeTerminal()
      expect([await run([...command, '--help'], terminal), terminal.err]).toEqual([0, ''])
      const [head = '', foot = ''] = terminal.out.split('\nExamples:\n')
      expect(head).toContain(`Usage: ${name}`)
      expect(head).toMatch(/\n {2}-h, --help/)
      expect(foot).toMatch(new RegExp(`^ {2}(?:[A-Z_]+=\\S+ )*${name}(?: |\\n)`, 'm'))
      expect(foot).toMatch(/\nExit codes: 0 done, 1 failed, 2 wrong usage/)
      expect(head).not.toMatch(/\(default: (?:false|\[\]|"?"?)\)/)
      expect(head).not.toMatch(/<(?:duration|seconds|time|ms)>[^<]*\(default: \d+\)/)
    })
  }

  it('is tested for every command', () => {
    const names = everyCommand().map((words) => words.join(' '))
    expect(names).toEqual(
      expect.arrayContaining(['serve', 'pay', 'audit verify', 'init openclaw', 'keys add']),
    )
  })

  it('shows a duration with its unit', async () => {
    const terminal = new FakeTerminal()
    await run(['buy', '--help'], terminal)
    expect(terminal.out).toMatch(/--valid-for <duration>[^<]*\(default: 30d\)/)
  })
})

describe('wrong usage', () => {
  const cases: Readonly<Record<string, [args: string[], stderr: string]>> = {
    'a misspelt command': [['sreve'], "error: unknown command 'sreve'\n(Did you mean serve?)\n"],
    'a misspelt option': [
      ['check', '--confg', 'x'],
      "error: unknown option '--confg'\n(Did you mean --config?)\n",
    ],
    'an option without its value': [
      ['check', '--config'],
      "error: option '-c, --config <file>' argument missing\n",
    ],
    'an argument too many': [
      ['serve', 'now'],
      "error: too many arguments for 'serve'. Expected 0 arguments but got 1: now.\n",
    ],
    'an impossible port': [
      ['sandbox', '--port', '65536'],
      "error: option '-p, --port <n>' argument '65536' is invalid. It must be a whole number from 0 to 65535.\n",
    ],
    'a missing argument': [['backup'], "error: missing required argument 'directory'\n"],
  }
  for (const [name, [args, stderr]] of Object.entries(cases)) {
    it(`ends with 2 and a hint for ${name}`, async () => {
      expect(await tollway(args)).toEqual({ code: 2, stdout: '', stderr })
    })
  }

  it('says in three lines how to begin when there is no command and no configuration', async () => {
    const ended = await tollway([], { cwd: temporaryDirectory() })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    const lines = ended.stderr.split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[0]).toMatch(/^There is no tollway\.yaml here yet\. .* tollway init$/)
    expect(lines[1]).toMatch(/tollway init --sandbox$/)
    expect(lines[2]).toMatch(/tollway --help$/)
  })

  it('ends with 2 and the help when no command is given beside a configuration', async () => {
    const cwd = temporaryDirectory()
    configFile('store: memory\n', cwd)
    const ended = await tollway([], { cwd })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toContain('Usage: tollway [options] [command]')
  })
})

it('explains itself on an old Node, before anything else is loaded', async () => {
  const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.19.0'}})`
  expect(await tollway(['check'], { node: ['--import', pretend] })).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'tollway needs Node 22.19 or newer, and this is Node 20.19.0: install a newer Node and try again.\n',
  })
})
