/**
 * Runs alone: starts a signer with the key in TEST_KEY, signs once, and writes this thread's heap to the file named
 * on the command line. It must never read the key itself, except in the mode that proves that the search would find it.
 */
import { writeHeapSnapshot } from 'node:v8'
import { startSigner } from '../../src/io/signer/signer.ts'

const [mode, file] = process.argv.slice(2)
// Made at run time and flat, as a variable's value is: a snapshot shows joined strings only in parts.
const kept: string[] = [Buffer.from('63616e6172792d63306666656563306666656563', 'hex').toString()]
if (mode === 'careless') kept.push(process.env['TEST_KEY'] ?? '')

const signer = await startSigner({ key: { source: 'env', name: 'TEST_KEY' } })
await signer.sign(
  {
    kind: 'eip3009',
    domain: {
      name: 'USDC',
      version: '2',
      chainId: 84532,
      verifyingContract: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    },
    message: {
      from: signer.address,
      to: '0x90f79bf6eb2c4f870365e785982e1f101e93b906',
      value: '1000',
      validAfter: '0',
      validBefore: '1795247742',
      nonce: `0x${'11'.repeat(32)}`,
    },
  },
  new AbortController().signal,
)
writeHeapSnapshot(file)
console.log(
  JSON.stringify({ address: signer.address, inEnvironment: 'TEST_KEY' in process.env, kept: kept.length }),
)
await signer.close()
