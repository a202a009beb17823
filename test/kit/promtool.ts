import { spawn } from 'node:child_process'

/** How a promtool run ended. */
export interface PromtoolRun {
  readonly code: number | null
  /** Both streams. */
  readonly output: string
}

/** Runs Debian's promtool (`npm run setup:test` installs it), and lets it read a text. */
export async function promtool(args: readonly string[], input = ''): Promise<PromtoolRun> {
  const child = spawn('promtool', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  // A promtool that is done before it has read everything closes the pipe.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, output: Buffer.concat(chunks).toString() }
}
