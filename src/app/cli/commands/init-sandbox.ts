/** `tollway init --sandbox`: from an empty directory to a gateway that pays with play money. */
import { ConfigError } from '../../../core/errors.ts'
import { hasSandboxParts, installSandboxParts, startPlay } from '../../init/play-starter.ts'
import { installCommand } from '../../sandbox/shared/optional-packages.ts'
import { printJson } from '../shared/buying-options.ts'
import type { Terminal } from '../shared/terminal.ts'

interface PlayOptions {
  readonly dir: string
  readonly seller?: string
  readonly network?: string
  readonly dailyUsd?: string
  readonly ceilingUsd?: string
  readonly yes: boolean
  readonly force: boolean
  readonly json: boolean
}

/**
 * Writes the files, then installs the sandbox's parts unless they are there. Without `--yes` a person is asked before npm runs;
 * where nobody can be asked, the command is printed instead.
 */
export async function initSandbox(options: PlayOptions, terminal: Terminal): Promise<void> {
  const given = (['seller', 'network', 'dailyUsd', 'ceilingUsd'] as const).find(
    (name) => options[name] !== undefined,
  )
  if (given !== undefined)
    throw new ConfigError(
      `--sandbox brings its own sellers, network and limits. Leave out --${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}, and change the file afterwards.`,
    )
  const started = startPlay(options.dir, options.force)
  const isReady = await makeReady(options, terminal)
  const inHere = options.dir === '.' ? '' : `cd ${options.dir} && `
  const next = `${inHere}tollway sandbox --config tollway.yaml --call`
  if (options.json) {
    const { config, address, files, backup } = started
    printJson(terminal, {
      config,
      address,
      files,
      backup: backup ?? null,
      install: isReady ? null : installCommand(),
      next,
    })
    return
  }
  terminal.stdout(
    [
      ...started.files.map((file) => `wrote ${file}`),
      ...(started.backup === undefined ? [] : [`kept ${started.backup}`]),
      '',
      `Wallet: ${started.address}, with 1000 USDC of play money once the sandbox runs.`,
      ...(isReady ? [] : ["The sandbox's parts are missing. Install them:", `  ${installCommand()}`]),
      'Next: a chain, sellers and a gateway with this configuration, and a first paid call:',
      `  ${next}`,
      'Then open http://127.0.0.1:8402/dashboard, and point a client at http://127.0.0.1:8402/v1.',
      '',
    ].join('\n'),
  )
}

async function makeReady({ dir, yes }: PlayOptions, terminal: Terminal): Promise<boolean> {
  if (hasSandboxParts(dir)) return true
  const { ask } = terminal
  const may = yes || (ask !== undefined && isYes(await ask("Install the sandbox's parts with npm? [Y/n]: ")))
  if (!may) return false
  terminal.stderr("Installing the sandbox's parts with npm ...\n")
  await installSandboxParts(dir)
  return true
}

function isYes(answer: string): boolean {
  return /^(?:y|yes|)$/i.test(answer.trim())
}
