import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { tollway } from './tollway.ts'

const COMMANDS = [
  ['serve'],
  ['check'],
  ['sandbox'],
  ['budgets'],
  ['reconcile'],
  ['sellers'],
  ['sellers', 'list'],
  ['sellers', 'trust'],
  ['sellers', 'forget'],
  ['audit'],
  ['audit', 'verify'],
  ['backup'],
]

it('says its version', async () => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const version = /"version": "([^"]+)"/.exec(manifest)?.[1]
  expect(await tollway(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('--help', () => {
  for (const command of [[], ...COMMANDS]) {
    it(`of "${['tollway', ...command].join(' ')}" shows examples and exit codes`, async () => {
      const help = await tollway([...command, '--help'])
      expect(help).toMatchObject({ code: 0, stderr: '' })
      expect(help.stdout).toContain(`Usage: ${['tollway', ...command].join(' ')} `)
      expect(help.stdout).toMatch(/\nExamples:\n {2}tollway /)
      expect(help.stdout).toContain('Exit codes: 0 done, 1 failed, 2 wrong usage')
    })
  }
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

  it('ends with 2 and the help when no command is given', async () => {
    const ended = await tollway([])
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
      'tollway needs Node 22.19 or newer, and this is Node 20.19.0. Install a newer Node and try again.\n',
  })
})
