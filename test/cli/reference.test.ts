/** Completions, the manual page and the changes: made from the program itself. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { changesOf } from '../../src/app/cli/commands/reference.ts'
import { allCommands, commandTree } from '../../src/app/cli/reference/command-tree.ts'
import { createProgram, run } from '../../src/app/cli/run.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from './fake-terminal.ts'

const exec = promisify(execFile)

async function printed(...args: string[]): Promise<string> {
  const terminal = new FakeTerminal()
  expect([await run(args, terminal), terminal.err]).toEqual([0, ''])
  return terminal.out
}

const COMMANDS = allCommands(
  commandTree(createProgram({ terminal: new FakeTerminal(), end: () => undefined })),
)

describe('completion bash', () => {
  /** What bash itself offers for the last word. */
  async function complete(...words: string[]): Promise<string[]> {
    const script = join(temporaryDirectory(), 'completion')
    writeFileSync(script, await printed('completion', 'bash'))
    const ask = `source ${script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tollway; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = await exec('bash', ['-uc', ask, 'bash', 'tollway', ...words])
    return stdout.split('\n').filter((word) => word !== '')
  }

  it.each([
    ['commands by their beginning', ['se'], ['serve', 'sellers']],
    ['commands below a command', ['init', 'open'], ['openclaw']],
    ['options of a command', ['check', '--on'], ['--online']],
    ['options behind an option with a value', ['check', '--config', 'x.yaml', '--j'], ['--json']],
    ['options below a command', ['init', 'openclaw', '--und'], ['--undo']],
    [
      'the values that an option may have',
      ['init', 'openclaw', '--kind', ''],
      ['provider', 'litellm', 'clawrouter'],
    ],
    ['options behind an alias', ['maintain', '--js'], ['--json']],
    ['nothing of its own where a file belongs', ['check', '--config', 'toll'], []],
  ])('offers %s', async (_what, words, offered) => {
    expect(await complete(...words)).toEqual(offered)
  })

  it('offers every command of the program', async () => {
    const names = COMMANDS.filter(({ path }) => path.length === 2).map(({ path }) => path[1])
    expect((await complete('')).toSorted()).toEqual(names.toSorted())
  })
})

describe('completion zsh and fish', () => {
  it.each(['zsh', 'fish'])('%s names every command and option', async (shell) => {
    const script = await printed('completion', shell)
    for (const { path, options } of COMMANDS) {
      expect(script).toContain(`"${path.join(' ')}"`)
      for (const { names } of options)
        for (const name of names)
          expect(script).toContain(
            shell === 'zsh'
              ? `'${name}:`
              : name.startsWith('--')
                ? `-l ${name.slice(2)}`
                : `-s ${name.slice(1)}`,
          )
    }
  })

  it('of a shell that is not known names those that are', async () => {
    const terminal = new FakeTerminal()
    expect(await run(['completion', 'tcsh'], terminal)).toBe(2)
    expect(terminal.err).toContain('Allowed choices are bash, zsh, fish')
  })
})

describe('man', () => {
  it('has every command and option, and groff has nothing to say about it', async () => {
    const page = await printed('man')
    for (const { path, options } of COMMANDS.slice(1)) {
      expect(page).toContain(`.SS ${path.join(' ').replaceAll('-', '\\-')}`)
      for (const { flags } of options) expect(page).toContain(`\\fB${flags.replaceAll('-', '\\-')}\\fR`)
    }
    // A line of text that begins with a dot would be read as a request.
    expect(page.split('\n').filter((line) => /^[.'](?!(?:TH|SH|SS|TP|B)\b)/.test(line))).toEqual([])
    if (!existsSync('/usr/bin/groff')) return
    const file = join(temporaryDirectory(), 'tollway.1')
    writeFileSync(file, page)
    const { stdout, stderr } = await exec('groff', ['-man', '-ww', '-Tutf8', file])
    expect([stderr, stdout.includes('tollway.yaml')]).toEqual(['', true])
  })
})

describe('changes', () => {
  const LOG =
    '# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-01\n\n- b\n\n## [0.1.0] - 2026-10-01\n\n- a\n'

  it('prints the newest part with any text, or that of one version', () => {
    expect(changesOf(LOG)).toBe('## [0.2.0] - 2026-11-01\n\n- b\n')
    expect(changesOf(LOG, 'v0.1.0')).toBe('## [0.1.0] - 2026-10-01\n\n- a\n')
    expect(() => changesOf(LOG, '3')).toThrow('There are Unreleased, 0.2.0, 0.1.0.')
  })

  it('reads the changelog of the package', async () => {
    const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8')
    expect(changelog).toContain((await printed('changes')).trim())
  })
})
