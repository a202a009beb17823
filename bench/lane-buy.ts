import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { TRANSFER_WITH_AUTHORIZATION } from '../src/core/payer/typed-message.ts'
import { buy } from '../src/app/buying/buy.ts'
import { withBuying } from '../src/app/buying/buying-context.ts'
import { parseConfig } from '../src/app/config/load.ts'
import { localAccounts } from '../src/app/sandbox/chain/accounts.ts'
import { interleave } from './interleave.ts'
import { liveBytes } from './live-bytes.ts'
import { round, type Result } from './result.ts'
import { WORK_DIRECTORY } from './work-directory.ts'

const VOUCHERS = 1000
const ROUNDS = 3
const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'

/**
 * `tollway buy --count 1000` with a key in a file, each round into a store of its own: asked for, signed by the worker,
 * checked, and kept on disk with its audit records. Beside it 1,000 signatures of the same kind by viem alone.
 */
export async function measureBuy(seller: string): Promise<NonNullable<Result['buy']>> {
  const rounds = await interleave(ROUNDS, (way) => (way === 'direct' ? signPlainly() : buyOnce(seller)))
  // Once more: collecting garbage takes its time.
  const live: number[] = []
  await buyOnce(seller, () => live.push(liveBytes()))
  return {
    vouchers: VOUCHERS,
    ms: {
      direct: rounds.map(({ direct }) => round(direct)),
      tollway: rounds.map(({ tollway }) => round(tollway)),
    },
    grownBytes: Math.max(0, (live.at(-1) ?? 0) - (live[0] ?? 0)),
  }
}

async function signPlainly(): Promise<number> {
  const { buyer, seller } = localAccounts()
  const account = privateKeyToAccount(buyer.privateKey)
  const startedAt = performance.now()
  for (let index = 0; index < VOUCHERS; index += 1) {
    await account.signTypedData({
      domain: { name: 'USDC', version: '2', chainId: 84532, verifyingContract: USDC },
      types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
      primaryType: 'TransferWithAuthorization',
      message: {
        from: account.address,
        to: seller.address,
        value: 1000n,
        validAfter: 0n,
        validBefore: 2_000_000_000n,
        nonce: toHex(randomBytes(32)),
      },
    })
  }
  return performance.now() - startedAt
}

/** @param look called behind each batch */
async function buyOnce(seller: string, look: () => void = () => {}): Promise<number> {
  const directory = await mkdtemp(WORK_DIRECTORY)
  try {
    const key = join(directory, 'key')
    await writeFile(key, localAccounts().buyer.privateKey, { mode: 0o600 })
    const config = parseConfig(
      {
        store: `sqlite:${join(directory, 'tollway.db')}`,
        audit: { path: join(directory, 'audit.jsonl') },
        payers: {
          base: { kind: 'direct', key: `\${file:${key}}`, networks: ['base-sepolia'] },
          bought: { kind: 'obol', mode: 'pool', reload_seconds: 0 },
        },
      },
      {},
    )
    const startedAt = performance.now()
    const { added } = await withBuying(config, (parts) =>
      buy(
        parts,
        {
          name: 'bench',
          endpoint: seller,
          model: 'sandbox-small',
          payer: 'bought',
          signedBy: 'base',
          count: VOUCHERS,
          choice: {},
          lifeSeconds: 86_400,
        },
        new AbortController().signal,
        look,
      ),
    )
    const ms = performance.now() - startedAt
    if (added !== VOUCHERS) throw new Error(`${added} vouchers were bought, not ${VOUCHERS}`)
    return ms
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
