import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findAnvil } from '../../src/app/sandbox/chain/find-anvil.ts'
import { SandboxPackagesMissingError } from '../../src/app/sandbox/shared/missing-packages.ts'
import { installCommand } from '../../src/app/sandbox/shared/optional-packages.ts'

const machine = { platform: 'linux', arch: 'x64' }
let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tollway-anvil-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function program(...path: string[]): string {
  const file = join(root, ...path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, '')
  chmodSync(file, 0o755)
  return file
}

/** A directory tree in which only what a test puts there can be found. */
function surroundings(env: Record<string, string> = {}) {
  return { env, machine, cwd: join(root, 'project'), ownModule: join(root, 'tollway', 'index.js') }
}

describe('finding anvil', () => {
  it('takes, in this order: option, TOLLWAY_ANVIL, the project’s package, our own package, the PATH', () => {
    const onPath = program('bin', 'anvil')
    const env = { PATH: ['', join(root, 'empty'), join(root, 'bin')].join(delimiter) }
    expect(findAnvil(surroundings(env))).toBe(onPath)

    const ours = program('tollway', 'node_modules', '@foundry-rs', 'anvil-linux-amd64', 'bin', 'anvil')
    expect(findAnvil(surroundings(env))).toBe(ours)

    const projects = program('project', 'node_modules', '@foundry-rs', 'anvil-linux-amd64', 'bin', 'anvil')
    expect(findAnvil(surroundings(env))).toBe(projects)

    const named = program('named-by-environment')
    const withVariable = { ...env, TOLLWAY_ANVIL: named }
    expect(findAnvil(surroundings(withVariable))).toBe(named)

    const option = program('project', 'named-by-option')
    expect(findAnvil({ ...surroundings(withVariable), anvilPath: 'named-by-option' })).toBe(option)
  })

  it('treats an empty TOLLWAY_ANVIL as not set', () => {
    const onPath = program('bin', 'anvil')
    expect(findAnvil(surroundings({ TOLLWAY_ANVIL: '', PATH: join(root, 'bin') }))).toBe(onPath)
  })

  it('never replaces a path the user named, even when another anvil is there', () => {
    program('bin', 'anvil')
    const env = { TOLLWAY_ANVIL: join(root, 'not-there'), PATH: join(root, 'bin') }
    expect(() => findAnvil(surroundings(env))).toThrow(/TOLLWAY_ANVIL says .*not-there/)
  })

  it('does not take a directory or a file that cannot be executed for anvil', () => {
    mkdirSync(join(root, 'bin', 'anvil'), { recursive: true })
    chmodSync(program('other', 'anvil'), 0o644)
    const env = { PATH: [join(root, 'bin'), join(root, 'other')].join(delimiter) }
    expect(() => findAnvil(surroundings(env))).toThrow(SandboxPackagesMissingError)
  })

  it('tells the one command that installs it when there is none', () => {
    expect(() => findAnvil(surroundings())).toThrow(installCommand(machine))
    expect(installCommand(machine)).toBe(
      'npm install --save-dev @foundry-rs/anvil-linux-amd64@1.7.1 @x402/core@2.27.0 @x402/evm@2.27.0 @x402/express@2.27.0',
    )
  })

  it('points to Foundry where no package of anvil exists', () => {
    const exotic = { platform: 'freebsd', arch: 'riscv64' }
    expect(() => findAnvil({ ...surroundings(), machine: exotic })).toThrow(/freebsd-riscv64.*getfoundry/s)
    expect(installCommand(exotic)).not.toContain('anvil')
  })
})
