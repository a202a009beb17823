import type { Command } from 'commander'
import { property } from '../../../../core/property.ts'
import { visibleLine } from '../../../../core/visible.ts'
import { EXIT_CODES_HELP } from '../../shared/exit-codes.ts'
import { CONFIG_OPTION, DEFAULT_CONFIG } from '../../shared/options.ts'
import type { CommandContext } from '../../shared/command-context.ts'
import type { AdminRequest } from '../../../operations/ask-gateway.ts'

interface ApproveOptions {
  readonly config: string
  readonly url?: string
  readonly json: boolean
  readonly refuse?: boolean
}

const URL_OPTION = ['--url <address>', 'address of the gateway, if it is not the one in the file'] as const

/** Adds `tollway approvals` and `tollway approve`. */
export function addApprove(program: Command, { terminal }: CommandContext): void {
  const ask = async (options: ApproveOptions, request: AdminRequest): Promise<unknown> => {
    // Imported here so that help and usage errors appear at once.
    const { loadConfigWithText } = await import('../../../config/load.ts')
    const { askGateway, gatewayOf } = await import('../../../operations/ask-gateway.ts')
    const loaded = loadConfigWithText(options.config, terminal.env)
    return await askGateway(gatewayOf(options.config, loaded, terminal.env, options.url), request)
  }
  const print = (options: ApproveOptions, result: unknown, text: string): void =>
    terminal.stdout(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : text)

  program
    .command('approvals')
    .description("list the calls that wait for a person's approval, and how the last ones ended")
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option(...URL_OPTION)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway approvals
  tollway approvals --config /etc/tollway/tollway.yaml --json

Calls that may cost more than policy.approve_above_usd wait for policy.approval_seconds and are refused then. One
that waited when its gateway was killed was refused by that: it is listed as lost, and nothing was signed for it.
${EXIT_CODES_HELP}`,
    )
    .action(async (options: ApproveOptions) => {
      const result = await ask(options, { method: 'GET', path: '/admin/approvals' })
      const list: unknown = property(result, 'approvals')
      const lines = Array.isArray(list) ? list.map((one: unknown) => lineOf(one)) : []
      const ended: unknown = property(result, 'ended')
      const before = Array.isArray(ended) ? ended.map((one: unknown) => endOf(one)) : []
      if (lines.length === 0) lines.push('No call waits for approval.')
      if (before.length > 0) lines.push('', 'Ended, the newest first:', ...before)
      print(options, result, `${lines.join('\n')}\n`)
    })

  program
    .command('approve <id>')
    .description('approve a call of the running gateway that waits, or refuse it')
    .option('--refuse', 'refuse it')
    .option(...CONFIG_OPTION, DEFAULT_CONFIG)
    .option(...URL_OPTION)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
Examples:
  tollway approve apr_7k3m9q2x
  tollway approve apr_7k3m9q2x --refuse

One approval is for one call, at most at the price that was shown. It is reserved then: the budgets decide after all.
${EXIT_CODES_HELP}`,
    )
    .action(async (id: string, options: ApproveOptions) => {
      const decision = options.refuse ? 'refused' : 'approved'
      const path = `/admin/approvals/${encodeURIComponent(id)}`
      const result = await ask(options, { method: 'POST', path, body: { decision } })
      const end = options.refuse ? 'Refused' : 'Approved'
      print(options, result, `${end}: ${lineOf(result)}\n`)
    })
}

/** `lost`: the gateway was killed while the call waited, which refuses it. */
function endOf(approval: unknown): string {
  const text = textsOf(approval)
  return visibleLine(
    `${text('approval')}  ${text('result')}  ${text('ended_at')}  ${text('caller')} -> ${text('model')}`,
  )
}

function textsOf(approval: unknown): (name: string) => string {
  return (name) => {
    const value = property(approval, name)
    return typeof value === 'string' ? value : ''
  }
}

function lineOf(approval: unknown): string {
  const text = textsOf(approval)
  const usd = text('max_usd')
  const price = usd === '' ? text('pays') : `$${usd}`
  return visibleLine(
    `${text('approval')}  up to ${price}  ${text('caller')} -> ${text('model')} (${text('seller')})  until ${text('until')}`,
  )
}
