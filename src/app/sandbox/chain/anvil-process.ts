import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

const setpriv = '/usr/bin/setpriv'
/** Number of output lines quoted in the error when anvil dies. */
const tailLines = 20
/** Time after which a silent anvil is given up (it normally starts in well under 100 ms). */
const startTimeoutMs = 20_000
/** Anvil exits within milliseconds of SIGTERM; after this time it is killed. */
const stopTimeoutMs = 3_000

/** A running anvil. */
export interface AnvilProcess {
  rpcUrl: string
  pid: number
  /** Stops the process and returns when it has exited. Safe to call twice. */
  close(): Promise<void>
}

/**
 * Starts anvil on loopback and waits until it listens.
 *
 * It does not outlive this process: on Linux the kernel kills it when this process dies (even by SIGKILL);
 * elsewhere it is killed when this process exits normally.
 *
 * @param args - Arguments besides host and port.
 * @param port - TCP port, 0 for a free one (chosen by anvil itself, so no one can take it in between).
 * @throws {Error} When anvil exits, or prints nothing for 20 s, before it listens. Includes its last output lines.
 */
export async function startAnvil(
  path: string,
  args: readonly string[],
  port: number,
  log: (line: string) => void = () => {},
): Promise<AnvilProcess> {
  const command = [path, '--host', '127.0.0.1', '--port', String(port), ...args]
  if (existsSync(setpriv)) command.unshift(setpriv, '--pdeathsig', 'SIGKILL')
  const [file = path, ...rest] = command
  // Anvil reads foundry.toml and .env from its working directory; a project's own files must not change the
  // sandbox.
  const child = spawn(file, rest, { cwd: tmpdir(), stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
  })
  const killOnExit = () => void child.kill('SIGKILL')
  process.once('exit', killOnExit)
  void exited.then(() => process.off('exit', killOnExit))

  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    child.kill('SIGTERM')
    const force = setTimeout(killOnExit, stopTimeoutMs)
    await exited
    clearTimeout(force)
  }
  try {
    const rpcUrl = await listening(child, log)
    if (child.pid === undefined) throw new Error('anvil runs without a process id')
    return { rpcUrl, pid: child.pid, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function listening(
  child: ChildProcessByStdio<null, Readable, Readable>,
  log: (line: string) => void,
): Promise<string> {
  const tail: string[] = []
  const failure = (what: string) =>
    new Error(
      `anvil ${what}. Its last output:\n${tail.length === 0 ? '(none)' : tail.join('\n')}\n` +
        'If the port is taken, choose another one or 0 for a free one.',
    )
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(), startTimeoutMs)
  try {
    return await new Promise<string>((resolve, reject) => {
      const read = (line: string) => {
        tail.push(line)
        if (tail.length > tailLines) tail.shift()
        log(line)
        const address = /^Listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
        if (address !== undefined) resolve(`http://${address}`)
      }
      // Both pipes are read to their end: a full pipe would stop anvil.
      createInterface(child.stdout).on('line', read)
      createInterface(child.stderr).on('line', read)
      child.once('error', (error) => reject(failure(`could not be started (${error.message})`)))
      child.once('close', (code, signal) =>
        reject(failure(`left at start with ${signal ?? `exit code ${code}`}`)),
      )
      void once(giveUp.signal, 'abort').then(() =>
        reject(failure(`did not listen within ${startTimeoutMs / 1000} s`)),
      )
    })
  } finally {
    clearTimeout(timer)
  }
}
