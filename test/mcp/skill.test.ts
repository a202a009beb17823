/** The skill for OpenClaw and Hermes says what the tools and commands are, and is part of the package. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../src/app/cli/run.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const SKILL = read('skills/tollway/SKILL.md')
const [, front = '', body = ''] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(SKILL) ?? []

describe('skills/tollway/SKILL.md', () => {
  it('has the head that OpenClaw and Hermes read, and is used only when the user asks to spend', () => {
    const head = parse(front) as { name: string; description: string; metadata: object }
    expect(head).toMatchObject({
      name: 'tollway',
      metadata: { openclaw: { requires: { bins: ['tollway'] } } },
    })
    expect(head.description.length).toBeLessThanOrEqual(1024)
    expect(head.description).toMatch(/Use only when the user asks/)
    expect(head.description).toMatch(/Don't use when:/)
  })

  it('names tools and commands that exist, with their options', () => {
    const program = createProgram({ terminal: new FakeTerminal(), end: () => undefined })
    const lines = body.split('\n').filter((line) => /(?:^|&& )tollway [a-z]/.test(line))
    expect(lines.length).toBeGreaterThan(4)
    for (const line of lines) {
      const [, name = '', rest = ''] = /(?:^|&& )tollway ([a-z]+)(.*)/.exec(line) ?? []
      const command = program.commands.find((one) => one.name() === name)
      expect(command, name).toBeDefined()
      for (const [option] of rest.matchAll(/--[a-z-]+/g))
        expect(command?.options.map(({ long }) => long)).toContain(option)
    }
    const server = read('src/app/mcp/agent-server.ts')
    for (const tool of ['agent_pay', 'find_services', 'show_service', 'wallet_balance', 'spend_status'])
      expect([body.includes(`\`${tool}\``), server.includes(`'${tool}'`)]).toEqual([true, true])
  })

  it('names codes that agents are told', () => {
    const page = read('docs/agents.md')
    const table = body.slice(body.indexOf('## When it fails'), body.indexOf('## Budgets'))
    const codes = [...table.matchAll(/`([a-z]+(?:_[a-z0-9]+)+)`/g)].flatMap(([, code]) => code ?? [])
    expect(codes.length).toBeGreaterThan(10)
    for (const code of codes) expect(page).toContain(`\`${code}\``)
  })

  it('is copied to where OpenClaw reads skills by the documented line', () => {
    const line = /<!-- skill -->\n```sh\n([^`]*)```/.exec(read('docs/agents.md'))?.[1] ?? ''
    const home = mkdtempSync(join(tmpdir(), 'tollway-skill-'))
    const root = fileURLToPath(new URL('../..', import.meta.url))
    mkdirSync(join(home, 'node_modules'))
    symlinkSync(root, join(home, 'node_modules/tollway'))
    execFileSync('bash', ['-euc', line], { cwd: home, env: { ...process.env, HOME: home } })
    expect(readFileSync(join(home, '.openclaw/workspace/skills/tollway/SKILL.md'), 'utf8')).toBe(SKILL)
    rmSync(home, { recursive: true })
  })

  it('is in the packed package', () => {
    expect((JSON.parse(read('package.json')) as { files: string[] }).files).toContain('skills')
  })
})
