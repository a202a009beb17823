import { InvalidArgumentError, type Command } from 'commander'
import { ConfigError } from '../../../core/errors.ts'
import type { FollowedRecord } from '../../../io/audit/audit-follow.ts'
import { isPublicKey } from '../../../io/audit/audit-signer.ts'
import type { ProvenChain } from '../output/audit-chains.ts'
import { EXIT, EXIT_CODES_HELP } from '../shared/exit-codes.ts'
import type { CommandContext } from '../shared/command-context.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../shared/options.ts'

/** Adds `tollway audit` and its commands. */
export function addAudit(program: Command, context: CommandContext): void {
  const audit = program
    .command('audit')
    .description('verify audit files and trace payments')
    .addHelpText(
      'after',
      `
Examples:
  tollway audit verify audit.jsonl
  tollway audit show --request req_42 audit.jsonl
  tollway audit key --new audit-key.pem
${EXIT_CODES_HELP}`,
    )
  addVerify(audit, context)
  addShow(audit, context)
  addKey(audit, context)
}

interface VerifyFlags {
  readonly config?: string
  readonly publicKey?: string
  readonly json: boolean
}

function addVerify(audit: Command, context: CommandContext): void {
  audit
    .command('verify')
    .description('verify that no record of an audit file is missing, added or changed')
    .argument('[files...]', 'audit files, oldest first; rotated files are found automatically')
    .option(
      '-c, --config <file>',
      'verify the files of this configuration against its signing key and the positions kept in its ledger',
    )
    .option('--public-key <hex>', 'the key that must have signed the checkpoints', publicKeyOption)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway audit verify
  tollway audit verify --config tollway.yaml
  tollway audit verify audit.jsonl --public-key 3b6a27bc...
  tollway audit verify audit.jsonl --json

Exits with 0 when every file is intact and with 1 when one is not. Without a file, it verifies all audit files of
${DEFAULT_CONFIG}: the gateway's and those written by commands (audit.cli.jsonl). A file truncated at a line end still verifies
by itself; only a configuration reveals the missing records, because its ledger keeps each file's last position.
${EXIT_CODES_HELP}`,
    )
    .action(async (files: string[], options: VerifyFlags) => {
      const { knownAudit, proveChains } = await import('../output/audit-chains.ts')
      const { chainsJson, renderBroken, renderWhole } = await import('../output/audit-report.ts')
      const { terminal } = context
      const config = options.config ?? (files.length === 0 ? DEFAULT_CONFIG : undefined)
      const known = config === undefined ? undefined : knownAudit(config, terminal.env)
      const publicKey = options.publicKey ?? known?.publicKey
      const chains =
        files.length > 1
          ? [await proveNamed(files, publicKey)]
          : await proveChains(known, files[0], publicKey)
      if (options.json) terminal.stdout(`${JSON.stringify(chainsJson(chains, known), undefined, 2)}\n`)
      else {
        for (const { files: paths, verdict, notHeld } of chains) {
          if (verdict.ok) terminal.stdout(renderWhole(paths, verdict, notHeld))
          else terminal.stderr(renderBroken(verdict))
        }
      }
      context.end(chains.every(({ verdict }) => verdict.ok) ? EXIT.done : EXIT.failed)
    })
}

/** Reads consecutive files as given on the command line. */
async function proveNamed(files: readonly string[], publicKey: string | undefined): Promise<ProvenChain> {
  const { verifyAudit } = await import('../../../io/audit/audit-verify.ts')
  const verdict = await verifyAudit(files, { publicKey })
  return { file: files.at(-1) ?? '', files, verdict, notHeld: undefined }
}

interface ShowFlags {
  readonly charge?: string
  readonly request?: string
  readonly tx?: string
  readonly nonce?: string
  readonly config?: string
  readonly json: boolean
}

function addShow(audit: Command, context: CommandContext): void {
  audit
    .command('show')
    .description('trace a payment from request to charge, nonce and transaction, or back')
    .argument('[files...]', 'audit files; rotated files are found automatically')
    .option('--charge <id>', 'charge id, as in the response header x-tollway-charge')
    .option('--request <id>', 'request id, as in the response header x-request-id')
    .option('--tx <hash>', 'transaction hash')
    .option('--nonce <nonce>', 'nonce of a signed payment')
    .option(
      '-c, --config <file>',
      `search the audit files of this configuration (default without files: ${DEFAULT_CONFIG})`,
    )
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway audit show --request req_42 audit.jsonl
  tollway audit show --tx 0x5f3a... --config tollway.yaml --json

Exits with 1 when nothing is found. It shows the records without verifying them; use tollway audit verify for that.
${EXIT_CODES_HELP}`,
    )
    .action(async (files: string[], options: ShowFlags, command: Command) => {
      const { charge, request, tx, nonce } = options
      if ([charge, request, tx, nonce].every((one) => one === undefined)) {
        command.error('error: no search term; use --charge, --request, --tx or --nonce')
      }
      const { followAudit } = await import('../../../io/audit/audit-follow.ts')
      const { renderFollowed } = await import('../output/audit-report.ts')
      const { paths, found } = await followIn(files, options.config, context, (all) =>
        followAudit(all, { charge, request, tx, nonce }),
      )
      const { terminal } = context
      if (options.json) {
        const records = found.map(({ file, line, fields }) => ({ file, line, ...fields }))
        terminal.stdout(`${JSON.stringify({ files: paths, records }, undefined, 2)}\n`)
      } else if (found.length > 0) terminal.stdout(renderFollowed(found))
      else terminal.stderr('No record in the audit files matches.\n')
      context.end(found.length > 0 ? EXIT.done : EXIT.failed)
    })
}

function addKey(audit: Command, context: CommandContext): void {
  audit
    .command('key')
    .description('show the public key of audit.signing_key, or create a key')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option('--new <file>', 'create a key and write it to this new file, mode 0600')
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway audit key --new audit-key.pem
  tollway audit key --config tollway.yaml

Store the public key where no one who can write the audit file can change it: it verifies the checkpoints.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: { config: string; new?: string; json: boolean }) => {
      const file = options.new
      const publicKey =
        file === undefined ? await configuredKey(options.config, context) : await makeKey(file)
      const { terminal } = context
      if (options.json) {
        terminal.stdout(`${JSON.stringify({ public_key: publicKey, file: file ?? null }, undefined, 2)}\n`)
        return
      }
      if (file === undefined) terminal.stdout(`${publicKey}\n`)
      else {
        terminal.stdout(
          `The key is in ${file}. Its public key is ${publicKey}.\nAdd to the configuration: audit: { signing_key: "\${file:${file}}" }\n`,
        )
      }
    })
}

function publicKeyOption(text: string): string {
  if (isPublicKey(text.toLowerCase())) return text.toLowerCase()
  throw new InvalidArgumentError('It must be 64 hex digits, as tollway audit key prints them.')
}

async function gathered<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Searches the given files, or all audit files of a configuration. */
async function followIn(
  files: readonly string[],
  config: string | undefined,
  { terminal }: CommandContext,
  follow: (paths: readonly string[]) => AsyncIterable<FollowedRecord>,
): Promise<{ readonly paths: readonly string[]; readonly found: readonly FollowedRecord[] }> {
  const [only] = files
  const read = async (paths: readonly string[]): Promise<Awaited<ReturnType<typeof followIn>>> => ({
    paths,
    found: byTime(await gathered(follow(paths))),
  })
  if (files.length > 1) return await read(files)
  const { overChain } = await import('../../../io/audit/audit-rotate.ts')
  if (only !== undefined) return await overChain(only, read)
  const { knownAudit } = await import('../output/audit-chains.ts')
  const { overAuditFiles } = await import('../../wiring/audit-files.ts')
  return await overAuditFiles(knownAudit(config ?? DEFAULT_CONFIG, terminal.env).path, read)
}

/** Finds every chain: a command may start a payment that a gateway finishes, each in its own file. */
function byTime(records: readonly FollowedRecord[]): FollowedRecord[] {
  const time = ({ fields }: FollowedRecord): string => String(fields['ts'])
  return records.toSorted((a, b) => (time(a) === time(b) ? 0 : time(a) < time(b) ? -1 : 1))
}

async function configuredKey(file: string, context: CommandContext): Promise<string> {
  const { knownAudit } = await import('../output/audit-chains.ts')
  const { publicKey } = knownAudit(file, context.terminal.env)
  if (publicKey !== undefined) return publicKey
  throw new ConfigError(
    'audit.signing_key is not set, so checkpoints are not signed. Create a key: tollway audit key --new audit-key.pem',
  )
}

async function makeKey(file: string): Promise<string> {
  const { writeFileSync } = await import('node:fs')
  const { newCheckpointKey } = await import('../../../io/audit/audit-signer.ts')
  const { pem, publicKey } = newCheckpointKey()
  try {
    writeFileSync(file, pem, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(
      code === 'EEXIST'
        ? `${file} already exists. Choose a new file name: an existing key is never overwritten.`
        : `${file} cannot be written (${code}).`,
      { cause: error },
    )
  }
  return publicKey
}
