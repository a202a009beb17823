/** Where the money of each payer is: told by `tollway check` and when the gateway starts, so that the right wallet is funded. */
import { expect, onTestFinished, test } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { configFile } from '../config/config-file.ts'
import { startGateway } from '../kit/gateway.ts'
import { FakeTerminal } from './fake-terminal.ts'

const { address: written, privateKey } = localAccounts().buyer
const address = written.toLowerCase()
const CONFIG = `store: memory
listen: 127.0.0.1:0
payers:
  base: { kind: direct, key: "\${env:PAYING_WALLET}", networks: [base-sepolia, base] }
  held: { kind: obol, mode: pool }
`

async function check(...args: string[]): Promise<string> {
  process.env['PAYING_WALLET'] = privateKey
  const terminal = new FakeTerminal({ PAYING_WALLET: privateKey })
  expect([await run(['check', '--config', configFile(CONFIG), ...args], terminal), terminal.err]).toEqual([
    0,
    '',
  ])
  return terminal.out
}

test('tollway check names the address that each key pays from, as a table and as JSON', async () => {
  expect(await check()).toContain(`
PAYER  PAYS FROM                                   ON
base   ${address}  base-sepolia, base
`)
  expect(JSON.parse(await check('--json'))).toMatchObject({ wallets: { base: address } })
})

test('tollway check --config-only touches no key and names no address', async () => {
  expect(await check('--config-only')).not.toContain('PAYS FROM')
  expect(JSON.parse(await check('--config-only', '--json'))).toMatchObject({ wallets: {} })
})

test('the log names it when the gateway starts', async () => {
  process.env['PAYING_WALLET'] = privateKey
  let lines = ''
  const payers = { base: { kind: 'direct', key: '${env:PAYING_WALLET}', networks: ['base-sepolia'] } }
  const gateway = await startGateway({ payers }, { writeLog: (line) => void (lines += line) })
  onTestFinished(async () => await gateway.close())
  expect(lines).toContain(
    `"wallets":[{"payer":"base","address":"${address}","networks":["eip155:84532"]}],"msg":"these wallets pay"`,
  )
})
