/** Completions for shells, made from the program's own commands. File names are completed where nothing else fits. */
import { allCommands, type CommandNode, type OptionNode } from './command-tree.ts'

/** The shells that completions are made for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

/** One of {@link SHELLS}. */
export type Shell = (typeof SHELLS)[number]

/** The script to be read by a shell. */
export function completionScript(shell: Shell, root: CommandNode): string {
  switch (shell) {
    case 'bash':
      return bash(root)
    case 'zsh':
      return zsh(root)
    case 'fish':
      return fish(root)
    default:
      return shell satisfies never
  }
}

function bash(root: CommandNode): string {
  return `# tollway completion bash: add to ~/.bashrc:  source <(tollway completion bash)
_tollway() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at=tollway words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
${steps(root, (path, name, leadsTo) => `      "${path} ${name}") at="${leadsTo}" ;;`)}
    esac
  done
  case "$at $prev" in
${choicesOf(root, (path, name, choices) => `    "${path} ${name}") words="${choices.join(' ')}" ;;`)}
  esac
  if [[ -z $words ]]; then
    case "$at" in
${table(root, (node, path) => `      "${path}") [[ $cur == -* ]] && words="${optionNames(node)}" || words="${commandNames(node)}" ;;`)}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _tollway tollway
`
}

function zsh(root: CommandNode): string {
  const described = (pairs: readonly (readonly [string, string])[]): string =>
    pairs.map(([name, text]) => quoted(`${name.replaceAll(':', '\\:')}:${text}`)).join(' ')
  return `#compdef tollway
# tollway completion zsh: write it to a file _tollway in a directory of $fpath, or  source <(tollway completion zsh)
_tollway() {
  local at=tollway i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
${steps(root, (path, name, leadsTo) => `      "${path} ${name}") at="${leadsTo}" ;;`)}
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${choicesOf(root, (path, name, choices) => `    "${path} ${name}") compadd -- ${choices.join(' ')}; return ;;`)}
  esac
  case "$at" in
${table(
  root,
  (node, path) =>
    `    "${path}") if [[ \${words[CURRENT]} == -* ]]; then found=(${described(node.options.flatMap((option) => option.names.map((name) => [name, option.description] as const)))}); else found=(${described(node.commands.map((sub) => [lastOf(sub), sub.description] as const))}); fi ;;`,
)}
  esac
  if ((\${#found})); then _describe tollway found; else _files; fi
}
if [[ \${funcstack[1]-} == _tollway ]]; then _tollway "$@"; else compdef _tollway tollway; fi
`
}

function fish(root: CommandNode): string {
  const lines = allCommands(root).flatMap((node) => {
    const at = node.path.join(' ')
    return [
      ...node.commands.map(
        (sub) =>
          `complete -c tollway -n '__tollway_at "${at}"' -f -a ${lastOf(sub)} -d ${fishQuoted(sub.description)}`,
      ),
      ...node.options.map((option) => `complete -c tollway -n '__tollway_at "${at}"' ${fishOption(option)}`),
    ]
  })
  return `# tollway completion fish: tollway completion fish > ~/.config/fish/completions/tollway.fish
function __tollway_at
  set -l at tollway
  for word in (commandline -opc)[2..]
    switch "$at $word"
${steps(root, (path, name, leadsTo) => `      case "${path} ${name}"\n        set at "${leadsTo}"`)}
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`
}

function fishOption({ names, description, takesValue, choices }: OptionNode): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  const values = choices.length > 0 ? ` -x -a ${fishQuoted(choices.join(' '))}` : takesValue ? ' -r' : ''
  return `${flags.join(' ')}${values} -d ${fishQuoted(description)}`
}

/** One line for each word that leads from one command to the next. */
function steps(root: CommandNode, line: (path: string, name: string, leadsTo: string) => string): string {
  return allCommands(root)
    .flatMap((node) =>
      node.commands.flatMap((sub) =>
        [lastOf(sub), ...sub.aliases].map((name) => line(node.path.join(' '), name, sub.path.join(' '))),
      ),
    )
    .join('\n')
}

function choicesOf(
  root: CommandNode,
  line: (path: string, name: string, choices: readonly string[]) => string,
): string {
  return allCommands(root)
    .flatMap((node) =>
      node.options.flatMap(({ names, choices }) =>
        choices.length === 0 ? [] : names.map((name) => line(node.path.join(' '), name, choices)),
      ),
    )
    .join('\n')
}

function table(root: CommandNode, line: (node: CommandNode, path: string) => string): string {
  return allCommands(root)
    .map((node) => line(node, node.path.join(' ')))
    .join('\n')
}

function optionNames({ options }: CommandNode): string {
  return options.flatMap(({ names }) => names).join(' ')
}

function commandNames({ commands }: CommandNode): string {
  return commands.map(lastOf).join(' ')
}

function lastOf({ path }: CommandNode): string {
  return path.at(-1) ?? ''
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
