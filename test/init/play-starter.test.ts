/** `tollway init --sandbox`: a configuration that pays with play money, and the parts that the sandbox needs. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { hasSandboxParts, installSandboxParts } from '../../src/app/init/play-starter.ts'
import { fullPreflight } from '../../src/app/preflight/preflight.ts'
import { PLAY_PORTS, playConfig, playPorts } from '../../src/app/sandbox/play-config.ts'
import { hasOfficialPackages, sandboxPackages } from '../../src/app/sandbox/shared/optional-packages.ts'
import { configFile, temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'

let directory: string
beforeEach(() => {
  directory = temporaryDirectory()
})

async function init(...args: string[]): Promise<FakeTerminal & { code: number }> {
  const terminal = new FakeTerminal()
  const code = await run(['init', '--sandbox', '--dir', directory, ...args], terminal)
  return Object.assign(terminal, { code })
}

describe('tollway init --sandbox', () => {
  it('writes a configuration that starts, with a key for its owner only, and the next command', async () => {
    const { code, out, err } = await init('--yes')
    expect([code, err]).toEqual([0, ''])
    expect(readdirSync(directory).toSorted()).toEqual(['.env', 'play-money.key', 'tollway.yaml'])
    for (const name of ['play-money.key', 'tollway.yaml', '.env'])
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
    const config = loadConfig(join(directory, 'tollway.yaml'), {})
    expect(playPorts(config)).toEqual(PLAY_PORTS)
    const faults = await fullPreflight({ ...config, listen: { host: '127.0.0.1', port: 0 } }, false)
    expect(faults).toEqual([])
    expect(out).toContain(`  cd ${directory} && tollway sandbox --config tollway.yaml --call\n`)
    expect(out).toContain('http://127.0.0.1:8402/dashboard')
  })

  it('leaves an existing configuration alone, and keeps a copy with --force', async () => {
    configFile('store: memory\n', directory)
    const refused = await init('--yes')
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('already there')])
    expect(readdirSync(directory)).toEqual(['tollway.yaml'])
    expect((await init('--yes', '--force')).code).toBe(0)
    expect(readFileSync(join(directory, 'tollway.yaml.1.bak'), 'utf8')).toBe('store: memory\n')
  })

  it('takes no seller, network or limit: it brings its own', async () => {
    const { code, err } = await init('--daily-usd', '5', '--yes')
    expect([code, err]).toEqual([2, expect.stringContaining('Leave out --daily-usd')])
  })

  it('prints JSON for programs', async () => {
    const { out } = await init('--json')
    expect(JSON.parse(out)).toMatchObject({
      config: join(directory, 'tollway.yaml'),
      install: null,
      backup: null,
    })
  })
})

describe("the sandbox's parts", () => {
  it('are found beside us, and in a directory only if they are all there', () => {
    expect(hasSandboxParts(directory)).toBe(true)
    expect(hasOfficialPackages(directory)).toBe(true)
  })

  it('are installed with npm at the versions that the sandbox is tested with, and a failure is told', async () => {
    const ran: (readonly string[])[] = []
    await installSandboxParts(directory, (args) => {
      ran.push(args)
      return Promise.resolve(0)
    })
    expect(ran[0]?.slice(0, 2)).toEqual(['install', '--save-dev'])
    expect(ran[0]).toEqual(expect.arrayContaining(sandboxPackages()))
    for (const name of sandboxPackages()) expect(name).toMatch(/@\d+\.\d+\.\d+$/)
    await expect(installSandboxParts(directory, () => Promise.resolve(1))).rejects.toThrow(
      /npm could not install .*\n {2}npm install --save-dev/,
    )
  })
})

describe('tollway sandbox --config', () => {
  const sandbox = async (text: string, ...more: string[]): Promise<[number, string]> => {
    const terminal = new FakeTerminal()
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'play-money.key'), `0x${'1'.repeat(64)}`, { mode: 0o600 })
    const path = configFile(text, directory)
    const code = await run(['sandbox', '--once', '--config', path, ...more], terminal)
    return [code, terminal.err]
  }

  it('refuses a configuration that leads elsewhere, before anything is started', async () => {
    const other = playConfig(PLAY_PORTS, '127.0.0.1:0').replace(
      'http://127.0.0.1:8412',
      'https://seller.example.com',
    )
    expect(await sandbox(other)).toEqual([
      2,
      expect.stringMatching(/^model_list: paid\/\* is not an address of the sandbox.*nothing was started/),
    ])
    expect(await sandbox('listen: 127.0.0.1:0\n')).toEqual([
      2,
      expect.stringContaining('chains.base-sepolia.rpc is not an address of the sandbox'),
    ])
  })

  it('goes without --port', async () => {
    expect(await sandbox(playConfig(PLAY_PORTS, '127.0.0.1:0'), '--port', '0')).toEqual([
      2,
      expect.stringContaining('--port goes without --config'),
    ])
  })
})
