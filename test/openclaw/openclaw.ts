/** Headless OpenClaw: a home of its own, no network beyond the gateway it is pointed at. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROGRAM = join(import.meta.dirname, 'node_modules/openclaw/openclaw.mjs')

/** How a command of OpenClaw ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** One installation with its own home. */
export interface OpenClaw {
  /** Where `openclaw.json` lies. */
  readonly file: string
  /** Runs a command; `env` on top of the home's. */
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended>
  remove(): void
}

/** What keeps OpenClaw to a home of its own, and from asking anybody else. */
export function offline(home: string): Readonly<Record<string, string>> {
  return {
    HOME: home,
    OPENCLAW_HOME: home,
    OPENCLAW_OFFLINE: '1',
    OPENCLAW_NO_AUTO_UPDATE: '1',
    OPENCLAW_DISABLE_BONJOUR: '1',
    NO_COLOR: '1',
    TMPDIR: home,
  }
}

/** Makes a home. @param config what `openclaw.json` says beside what keeps it offline */
export function openClawHome(config: object): OpenClaw {
  if (!existsSync(PROGRAM)) throw new Error('OpenClaw is not installed: run npm run test:openclaw')
  const home = mkdtempSync(join(tmpdir(), 'tollway-openclaw-'))
  const file = join(home, '.openclaw', 'openclaw.json')
  mkdirSync(join(home, '.openclaw'))
  mkdirSync(join(home, 'work'))
  writeFileSync(file, JSON.stringify({ update: { checkOnStart: false }, ...config }, undefined, 2))
  const own = { PATH: process.env['PATH'] ?? '', ...offline(home) }
  return {
    file,
    run: (args, env = {}) =>
      new Promise((resolve) => {
        execFile(
          process.execPath,
          [PROGRAM, ...args],
          {
            cwd: join(home, 'work'),
            env: { ...own, ...env },
            timeout: 180_000,
            killSignal: 'SIGKILL',
            maxBuffer: 2 ** 26,
          },
          (error, stdout, stderr) =>
            resolve({
              code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1,
              stdout,
              stderr,
            }),
        )
      }),
    remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }),
  }
}
