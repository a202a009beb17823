import { existsSync } from 'node:fs'
import { Argument, Command, CommanderError, Help, Option } from 'commander'
import { SandboxPackagesMissingError } from '../sandbox/shared/missing-packages.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { ConfigProblemsError } from '../config/values/problems.ts'
import { addAudit } from './commands/audit.ts'
import { addBackup } from './commands/backup.ts'
import { addStore } from './commands/store.ts'
import { addBalance } from './commands/balance.ts'
import { addBudgets } from './commands/budgets.ts'
import { addBuy } from './commands/buy.ts'
import { addCatalog } from './commands/catalog.ts'
import { addCheck } from './commands/check.ts'
import { addDoctor } from './commands/doctor.ts'
import { addFind } from './commands/find.ts'
import { addInit } from './commands/init.ts'
import { addKeys } from './commands/keys.ts'
import { addMcp } from './commands/mcp.ts'
import { addPay } from './commands/pay.ts'
import { addProbe } from './commands/probe.ts'
import { addPurchases } from './commands/purchases.ts'
import { addReconcile } from './commands/reconcile.ts'
import { addReference } from './commands/reference.ts'
import { addProcess, addRefill, addRemove } from './commands/refill.ts'
import { addApprove } from './commands/running/approve.ts'
import { addReload } from './commands/running/reload.ts'
import { addReport } from './commands/report.ts'
import { addSandbox } from './commands/sandbox.ts'
import { addSellers } from './commands/sellers.ts'
import { addServe } from './commands/serve.ts'
import { DEFAULT_CONFIG } from './shared/options.ts'
import { replacementOf } from './shared/replaced-commands.ts'
import { ownWords } from './shared/seed-words.ts'
import { EXIT, EXIT_CODES_HELP, exitCodeOf, type ExitCode } from './shared/exit-codes.ts'
import { errorText } from './output/error-text.ts'
import { packageVersion } from '../package-version.ts'
import { visibleTerminal, type Terminal } from './shared/terminal.ts'
import type { CommandContext } from './shared/command-context.ts'

/** For someone who has just installed it. */
const FIRST_STEPS = `There is no tollway.yaml here yet. Make a wallet and a configuration:  tollway init
To try it with play money, without a wallet or a seller:               tollway init --sandbox
All commands:                                                          tollway --help
`

/**
 * Runs one command.
 * @param args without the interpreter and the script
 * @returns the exit code
 */
export async function run(args: readonly string[], outer: Terminal): Promise<number> {
  const terminal = visibleTerminal(outer)
  let code: number = EXIT.done
  const context: CommandContext = {
    terminal,
    end(ended) {
      code = ended
    },
  }
  if (args.length === 0 && !existsSync(DEFAULT_CONFIG)) {
    terminal.stderr(FIRST_STEPS)
    return EXIT.usage
  }
  const replacement = replacementOf(args[0])
  if (replacement !== undefined) {
    terminal.stderr(replacement)
    return EXIT.usage
  }
  try {
    await createProgram(context).parseAsync([...ownWords(args)], { from: 'user' })
    return code
  } catch (error) {
    return report(error, terminal, args.includes('--json'))
  }
}

/** The program with all of its commands. */
export function createProgram(context: CommandContext): Command {
  const { terminal } = context
  const program = new Command('tollway')
    .description('A gateway with paid model routes: it pays sellers over x402, within budgets.')
    .version(packageVersion(), '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show the help of a command')
    // An option behind a command belongs to it, also where the command above has one of that name.
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ optionDescription: describeOption, argumentDescription: describeArgument })
    .configureOutput({
      writeOut: (text) => terminal.stdout(text),
      writeErr: (text) => terminal.stderr(text),
    })
    .addHelpText(
      'after',
      `
Examples:
  tollway sandbox --once                try everything on this machine, without real money
  tollway check --config tollway.yaml   see what a configuration would do
  tollway serve --config tollway.yaml   run the gateway
${EXIT_CODES_HELP}`,
    )
  addServe(program, context)
  addReload(program, context)
  addApprove(program, context)
  addCheck(program, context)
  addDoctor(program, context)
  addProbe(program, context)
  addPay(program, context)
  addFind(program, context)
  addCatalog(program, context)
  addMcp(program, context)
  addBuy(program, context)
  addPurchases(program, context)
  addRefill(program, context)
  addRemove(program, context)
  addProcess(program, context)
  addBalance(program, context)
  addBudgets(program, context)
  addReport(program, context)
  addReconcile(program, context)
  addSellers(program, context)
  addKeys(program, context)
  addSandbox(program, context)
  addAudit(program, context)
  addBackup(program, context)
  addStore(program, context)
  addInit(program, context)
  addReference(program, context)
  return program
}

const plainHelp = new Help()

/** Help omits the default of a flag that is off and of an empty list. */
function describeOption(option: Option): string {
  return plainHelp.optionDescription(hasVisibleDefault(option) ? option : without(option))
}

function describeArgument(argument: Argument): string {
  return plainHelp.argumentDescription(hasVisibleDefault(argument) ? argument : without(argument))
}

function hasVisibleDefault({ defaultValue }: Option | Argument): boolean {
  return defaultValue !== false && !(Array.isArray(defaultValue) && defaultValue.length === 0)
}

function without<T extends Option | Argument>(shown: T): T {
  return Object.create(shown, { defaultValue: { value: undefined } })
}

/**
 * Prints the message of an expected error and the stack of an internal one.
 * @param json whether JSON output was requested
 */
function report(error: unknown, terminal: Terminal, json: boolean): ExitCode {
  if (error instanceof CommanderError) return exitCodeOf(error)
  if (json && error instanceof ConfigProblemsError) {
    // With --json, configuration mistakes are JSON too.
    terminal.stdout(`${JSON.stringify({ ok: false, problems: error.problems }, undefined, 2)}\n`)
    return exitCodeOf(error)
  }
  if (isExpected(error)) terminal.stderr(`${errorText(error)}\n`)
  else terminal.stderr(`tollway failed: ${explain(error)}\n`)
  return exitCodeOf(error)
}

/** Whether the message says everything that its reader needs. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof ConfigError ||
    error instanceof TollwayError ||
    error instanceof SandboxPackagesMissingError
  )
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Errors of the system (a port in use, a file without permission) need no stack.
  return 'syscall' in error ? error.message : (error.stack ?? error.message)
}
