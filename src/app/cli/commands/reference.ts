/** `tollway completion`, `man` and `changes`: what an installation has besides the program. */
import { readFileSync } from 'node:fs'
import { Argument, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import { packageFile, packageVersion } from '../../package-version.ts'
import type { Shell } from '../reference/completions.ts'
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'

/** Adds the three commands. Called last: they describe all the others. */
export function addReference(program: Command, { terminal }: CommandContext): void {
  program
    .command('completion')
    .description('print completions for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
Examples:
  tollway completion bash > /etc/bash_completion.d/tollway
  tollway completion zsh > ~/.zfunc/_tollway
  tollway completion fish > ~/.config/fish/completions/tollway.fish
${EXIT_CODES_HELP}`,
    )
    .action(async (shell: Shell) => {
      const { completionScript } = await import('../reference/completions.ts')
      const { commandTree } = await import('../reference/command-tree.ts')
      terminal.stdout(completionScript(shell, commandTree(program)))
    })
  program
    .command('man')
    .description('print the manual page')
    .addHelpText(
      'after',
      `
Examples:
  tollway man > /usr/local/share/man/man1/tollway.1
${EXIT_CODES_HELP}`,
    )
    .action(async () => {
      const { manPage } = await import('../reference/man-page.ts')
      const { commandTree } = await import('../reference/command-tree.ts')
      terminal.stdout(manPage(commandTree(program), packageVersion()))
    })
  program
    .command('changes')
    .description('print what changed in this version, or in another one')
    .argument('[version]', 'the version, or unreleased')
    .addHelpText(
      'after',
      `
Examples:
  tollway changes
  tollway changes 0.1.0

Read it before an update: what changes for users stands under Changed. The ledger is migrated by the first start of a
newer version, so back it up before: tollway backup --help.
${EXIT_CODES_HELP}`,
    )
    .action((version: string | undefined) => {
      terminal.stdout(changesOf(readFileSync(packageFile('CHANGELOG.md'), 'utf8'), version))
    })
}

/**
 * One version's part of a changelog, or the newest that has any text.
 * @throws ConfigError with the versions that there are
 */
export function changesOf(changelog: string, version?: string): string {
  const parts = changelog
    .split(/^(?=## \[)/m)
    .slice(1)
    .map((text) => ({ name: /^## \[([^\]]+)\]/.exec(text)?.[1] ?? '', text: text.trimEnd() }))
  const found =
    version === undefined
      ? parts.find(({ text }) => text.includes('\n'))
      : parts.find(({ name }) => name.toLowerCase() === version.toLowerCase().replace(/^v/, ''))
  if (found) return `${found.text}\n`
  throw new ConfigError(
    `There is no version ${version ?? ''} in the changelog. There are ${parts.map(({ name }) => name).join(', ')}.`,
  )
}
