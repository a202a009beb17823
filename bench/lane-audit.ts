import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../src/core/clock.ts'
import { openAuditFile } from '../src/io/audit/audit-file.ts'
import { checkpointSigner, newCheckpointKey } from '../src/io/audit/audit-signer.ts'
import { verifyAudit } from '../src/io/audit/audit-verify.ts'
import { round, type Result } from './result.ts'
import { WORK_DIRECTORY } from './work-directory.ts'

const RECORDS = 100_000
const ROUNDS = 3

/** How long `tollway audit verify` takes for a file of 100,000 signed records, and how much memory it asks for meanwhile. */
export async function measureAudit(): Promise<NonNullable<Result['audit']>> {
  const directory = await mkdtemp(WORK_DIRECTORY)
  try {
    const path = join(directory, 'audit.jsonl')
    const { pem, publicKey } = newCheckpointKey()
    const file = await openAuditFile({
      path,
      clock: systemClock,
      instance: 'ins_bench',
      signer: checkpointSigner(pem),
    })
    for (let n = 0; n < RECORDS; n += 1) {
      // Durable now and then: as a gateway writes, and so that the disk keeps up.
      await file.append('charge.settled', record(n), { durable: n % 500 === 0 })
    }
    await file.close()
    const { size: bytes } = await stat(path)
    const ms: number[] = []
    let peak = 0
    const before = process.memoryUsage().rss
    for (let index = 0; index < ROUNDS; index += 1) {
      const since = performance.now()
      const verdict = await verifyAudit(path, { publicKey })
      ms.push(round(performance.now() - since))
      peak = Math.max(peak, process.memoryUsage().rss)
      if (!verdict.ok) throw new Error(`the file that was just written is not whole: ${verdict.why}`)
    }
    return { records: RECORDS, bytes, ms, grownBytes: Math.max(0, peak - before) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** About as long as a real one. */
function record(n: number): Readonly<Record<string, unknown>> {
  return {
    charge: `chg_${String(n).padStart(24, '0')}`,
    request: `req_${n}`,
    caller: 'openclaw',
    model: 'paid/qwen',
    seller: 'https://seller.example.com',
    amount: '23000',
    state: 'settled',
    nonce: `0x${n.toString(16).padStart(64, '0')}`,
    transaction: `0x${n.toString(16).padStart(64, '1')}`,
  }
}
