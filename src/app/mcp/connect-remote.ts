/** Connects to the MCP server whose tools are to be paid: an address, or a command that is started. */
import { basename } from 'node:path'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { ConfigError } from '../../core/errors.ts'
import { packageVersion } from '../package-version.ts'
import { readUrl } from '../buying/endpoint.ts'
import { remoteFetch } from './remote-fetch.ts'
import { EXTENSION } from './tool-upstream.ts'

/** A connected server. */
export interface RemoteTools {
  readonly client: Client
  /** How ledger and pins name it. A command has no address: a name that can never be one stands for it. */
  readonly place: URL
}

/**
 * @param where an http or https address, or a command with its arguments, separated by spaces
 * @throws ConfigError when it cannot be reached or started
 */
export async function connectRemote(where: string): Promise<RemoteTools> {
  const { Client: SdkClient } = await import('@modelcontextprotocol/sdk/client/index.js')
  const client = new SdkClient(
    { name: 'tollway', version: packageVersion() },
    { capabilities: { extensions: { [EXTENSION]: {} } } },
  )
  const isAddress = /^https?:\/\//.test(where)
  const place = isAddress ? readUrl(where) : placeOfCommand(where)
  const transport = isAddress ? await overHttp(place) : await started(where)
  try {
    await client.connect(transport)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown'
    throw new ConfigError(`The MCP server ${where} cannot be used (${reason}); nothing was paid.`, { cause })
  }
  return { client, place }
}

async function overHttp(url: URL) {
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
  return new StreamableHTTPClientTransport(url, { fetch: remoteFetch() })
}

async function started(line: string) {
  const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js')
  const [command = '', ...args] = line.trim().split(/\s+/)
  return new StdioClientTransport({ command, args, stderr: 'inherit' })
}

/** The last word that names a program or a package, as a host below `.invalid` (RFC 2606). */
function placeOfCommand(line: string): URL {
  const words = line
    .trim()
    .split(/\s+/)
    .filter((word) => !word.startsWith('-'))
  const name = basename(words.at(-1) ?? 'command')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return new URL(`https://${name.slice(0, 60) || 'command'}.mcp.invalid/`)
}
