/** The manual page, tollway(1), made from the program's own commands. */
import { EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import { allCommands, type CommandNode } from './command-tree.ts'

/** Text for `man` (man(7) macros). */
export function manPage(root: CommandNode, version: string): string {
  const commands = allCommands(root).filter(({ path }) => path.length > 1)
  return [
    `.TH TOLLWAY 1 "" "tollway ${escaped(version)}" "User Commands"`,
    '.SH NAME',
    `tollway \\- ${escaped(root.description)}`,
    '.SH SYNOPSIS',
    '.B tollway',
    escaped('<command> [options]'),
    '.SH DESCRIPTION',
    ...sentence(
      'Without a configuration, start with tollway init, or with play money: tollway init --sandbox. Each command shows examples with --help.',
    ),
    '.SH COMMANDS',
    ...commands.flatMap((node) => [
      `.SS ${escaped(`${node.path.join(' ')} ${node.usage}`)}`,
      ...sentence(`${capitalized(node.description)}.`),
      ...node.options.flatMap(({ flags, description }) => [
        '.TP',
        `\\fB${escaped(flags)}\\fR`,
        ...sentence(description),
      ]),
    ]),
    '.SH EXIT STATUS',
    ...sentence(EXIT_CODES_HELP.trim()),
    '.SH FILES',
    '.TP',
    '\\fBtollway.yaml\\fR',
    ...sentence('The configuration, in the working directory unless --config names another.'),
    '',
  ].join('\n')
}

/** A line that begins with a dot or a quote would be a request. */
function sentence(text: string): string[] {
  return [escaped(text).replace(/^(?=[.'])/, '\\&')]
}

function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(
      /[^\x20-\x7e]/g,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}
