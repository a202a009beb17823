/**
 * Runs the lines of docs/quick-starts.md as they stand, each role in an empty directory, and prints how many commands a role
 * takes and how long: `node test/tools/quick-starts.ts`. Uses port 8402 and those behind it; not part of `npm test`.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { blocksOf } from '../kit/markdown.ts'

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts')

/** Waits for a line that says that the sandbox is up. */
async function started(child: ChildProcess): Promise<void> {
  if (!child.stdout) throw new Error('no output to wait for')
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('Ctrl-C')) return
  throw new Error('ended before it was ready')
}

async function runRole(lines: readonly string[]): Promise<{ readonly ran: number; readonly left: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'tollway-start-'))
  const kept: ChildProcess[] = []
  writeFileSync(join(directory, 'tollway'), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`, {
    mode: 0o755,
  })
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` }
  let left = 0
  try {
    for (const line of lines) {
      if (line.startsWith('openclaw ')) {
        left += 1
        continue
      }
      const stays = line.endsWith(' &')
      const text = stays ? line.slice(0, -2) : line
      const child = spawn(
        'bash',
        ['-eu', '-o', 'pipefail', '-c', `exec ${text}`.replace(/^exec (?=.*\|)/, '')],
        {
          cwd: directory,
          env,
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      if (stays) {
        kept.push(child)
        await started(child)
        child.stdout.resume()
      } else {
        child.stdout.resume()
        const [code] = (await once(child, 'exit')) as [number | null]
        if (code !== 0) throw new Error(`ended with ${code}: ${line}`)
      }
    }
    return { ran: lines.length - left, left }
  } finally {
    for (const child of kept) {
      child.kill('SIGINT')
      await once(child, 'exit')
    }
    rmSync(directory, { recursive: true, force: true })
  }
}

const page = readFileSync(new URL('../../docs/quick-starts.md', import.meta.url), 'utf8')
for (const { marker, text } of blocksOf(page)) {
  const from = process.hrtime.bigint()
  const { ran, left } = await runRole(text.trim().split('\n'))
  const seconds = Number((process.hrtime.bigint() - from) / 100_000_000n) / 10
  console.log(
    `${marker}: ${ran} commands, ${seconds} s${left === 0 ? '' : ` (${left} of another program not run)`}`,
  )
}
