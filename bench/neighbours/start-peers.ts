/** LiteLLM and Portkey's gateway, installed by exact versions into caches of their own, one process each, on loopback. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** The version of @portkey-ai/gateway that is measured. */
export const PORTKEY = '1.15.2'
/** LiteLLM's master key here. */
export const LITELLM_KEY = 'sk-bench'

/** A started neighbour. */
export interface Peer {
  readonly url: string
  close(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = await serveOnLoopback(() => undefined)
  await server.close()
  return Number(new URL(server.url).port)
}

async function start(
  command: readonly string[],
  port: number,
  path: string,
  env: Readonly<Record<string, string>>,
): Promise<Peer> {
  const home = await mkdtemp(join(tmpdir(), 'tollway-bench-'))
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, ...env },
    stdio: 'ignore',
  })
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${program} ended at its start with ${child.exitCode}`)
    const answer = await fetch(`${url}${path}`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok === true) break
    await pause(200)
  }
  return {
    url,
    async close() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * Starts LiteLLM's proxy with one worker.
 * @param config its config.yaml
 * @throws {Error} when it cannot be installed here, with the reason
 */
export async function startLitellm(config: object): Promise<Peer> {
  const made = spawnSync('bash', [join(ROOT, 'test/tools/python-environment.sh'), 'litellm'], {
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`LiteLLM cannot be measured here. ${made.stderr.trim()}`)
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'tollway-bench-'))
  const file = join(directory, 'config.yaml')
  await writeFile(file, JSON.stringify({ ...config, general_settings: { master_key: LITELLM_KEY } }))
  const program = join(made.stdout.trim(), 'bin/litellm')
  const command = [
    program,
    '--config',
    file,
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--num_workers',
    '1',
  ]
  const peer = await start(command, port, '/health/readiness', {
    LITELLM_LOCAL_MODEL_COST_MAP: 'True',
    LITELLM_TELEMETRY: 'False',
    LITELLM_LOG: 'ERROR',
  })
  return {
    url: peer.url,
    async close() {
      await peer.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Starts Portkey's gateway, without its console. */
export async function startPortkey(upstreamHost: string): Promise<Peer> {
  const cache = join(ROOT, '.cache/portkey', PORTKEY)
  const program = join(cache, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  if (!existsSync(program)) {
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--prefix', cache]
    execFileSync('npm', ['install', ...quiet, `@portkey-ai/gateway@${PORTKEY}`], { stdio: 'ignore' })
  }
  const port = await freePort()
  return await start([process.execPath, program, '--headless', `--port=${port}`], port, '/', {
    NODE_ENV: 'production',
    TRUSTED_CUSTOM_HOSTS: upstreamHost,
  })
}
