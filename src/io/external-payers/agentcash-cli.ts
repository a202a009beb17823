/** Runs agentcash as a command: one process per payment. */
import { spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { causeOf, type Agentcash, type AgentcashProgram } from './agentcash-program.ts'

/** The most output that is read, bytes: it prints only our own short response in its envelope. */
const MAX_OUTPUT_BYTES = 262_144

/** How long it may take to exit after SIGTERM, milliseconds. */
const KILL_MS = 2_000

const ENVELOPE = z.object({ success: z.boolean(), error: z.unknown() })

/** Runs the command. Its output goes to a file, because it loses unwritten output when it exits with a pipe. */
export function agentcashCli({ command, args, env }: AgentcashProgram): Agentcash {
  return {
    async fetch(call, signal) {
      const directory = await mkdtemp(join(tmpdir(), 'tollway-agentcash-'))
      try {
        const path = join(directory, 'output')
        // prettier-ignore
        const asked = [
          ...args, 'fetch', call.url, '--method', 'POST', '--body', '{}', '--payment-protocol', 'x402',
          '--payment-network', call.network, '--max-amount', call.maxUsd,
          '--timeout', call.timeoutMs.toString(), '--format', 'json',
        ]
        const code = await run(command, asked, env, path, signal)
        const { size } = await stat(path)
        const parsed = ENVELOPE.safeParse(
          size > MAX_OUTPUT_BYTES ? undefined : parse(await readFile(path, 'utf8')),
        )
        if (parsed.success) return parsed.data.success ? undefined : causeOf(parsed.data.error)
        return code === 0 ? 'unknown' : `exit_${code ?? 'signal'}`
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
    },
    close: () => Promise.resolve(),
  }
}

async function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  output: string,
  signal: AbortSignal,
): Promise<number | null> {
  signal.throwIfAborted()
  const file = await open(output, 'wx', 0o600)
  try {
    const child = spawn(command, args, { env, stdio: ['ignore', file.fd, 'ignore'], shell: false })
    let last: NodeJS.Timeout | undefined
    const stop = (): void => {
      child.kill('SIGTERM')
      last = setTimeout(() => child.kill('SIGKILL'), KILL_MS)
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      return await new Promise((resolve, reject) => {
        child.once('error', reject)
        child.once('close', resolve)
      })
    } finally {
      signal.removeEventListener('abort', stop)
      clearTimeout(last)
    }
  } finally {
    await file.close()
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
