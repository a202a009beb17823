/** The commands as data, read from the program itself: completions and the manual cannot miss one. */
import type { Command } from 'commander'

/** One option. */
export interface OptionNode {
  /** As they are typed: `-c`, `--config`. */
  readonly names: readonly string[]
  /** `-c, --config <file>` */
  readonly flags: string
  readonly description: string
  readonly takesValue: boolean
  readonly choices: readonly string[]
}

/** One command. */
export interface CommandNode {
  /** The words that lead to it, `tollway` first. */
  readonly path: readonly string[]
  readonly aliases: readonly string[]
  readonly description: string
  /** `[options] <url>` */
  readonly usage: string
  readonly options: readonly OptionNode[]
  readonly commands: readonly CommandNode[]
}

/** Reads a command and everything below it; hidden options are left out. */
export function commandTree(command: Command, above: readonly string[] = []): CommandNode {
  const path = [...above, command.name()]
  const options = command.options.filter(({ hidden }) => !hidden)
  return {
    path,
    aliases: command.aliases(),
    description: command.description(),
    usage: command.usage(),
    options: [
      ...options.map(({ short, long, flags, description, required, optional, argChoices }): OptionNode => ({
        names: [short, long].filter((name) => name !== undefined),
        flags,
        description,
        takesValue: required || optional,
        choices: argChoices ?? [],
      })),
      {
        names: ['-h', '--help'],
        flags: '-h, --help',
        description: 'show help',
        takesValue: false,
        choices: [],
      },
    ],
    commands: command.commands.map((sub) => commandTree(sub, path)),
  }
}

/** The command and all below it. */
export function allCommands(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(allCommands)]
}
