import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { privateKeyToAccount } from 'viem/accounts'
import { startChain } from '../../src/app/sandbox/chain/chain.ts'

import { connectLocal } from '../../src/app/sandbox/chain/levers.ts'

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const Started = z.object({ pid: z.number(), port: z.coerce.number() })

describe('the local chain', () => {
  it('starts with a buyer who has 1,000 USDC, and leaves no process behind', async () => {
    const chain = await startChain()
    try {
      expect(chain).toMatchObject({
        chainId: 84532,
        network: 'eip155:84532',
        v1Network: 'base-sepolia',
        token: {
          address: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
          name: 'USDC',
          version: '2',
          decimals: 6,
        },
      })
      expect(await chain.balanceOf(chain.accounts.buyer.address)).toBe(1_000_000_000n)
      expect(await chain.balanceOf(chain.accounts.seller.address)).toBe(0n)
      expect(isAlive(chain.pid)).toBe(true)
    } finally {
      await chain.close()
    }
    expect(isAlive(chain.pid)).toBe(false)
    await chain.close()
  })

  it('stands in for Base as well, with that network’s token', async () => {
    const chain = await startChain({ chainId: 8453 })
    try {
      expect(chain).toMatchObject({
        network: 'eip155:8453',
        v1Network: 'base',
        token: { address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', name: 'USD Coin' },
      })
      expect(await chain.balanceOf(chain.accounts.buyer.address)).toBe(1_000_000_000n)
    } finally {
      await chain.close()
    }
  })

  it('lists transfers by payer and payee', async () => {
    const chain = await startChain()
    try {
      const { buyer, seller } = chain.accounts
      await chain.levers.mint(seller.address, 5n)
      await chain.levers.burnFrom(buyer.address, 7n)
      expect(await chain.transfers()).toHaveLength(3)
      expect(await chain.transfers({ to: seller.address })).toMatchObject([{ value: 5n, to: seller.address }])
      expect(await chain.transfers({ from: buyer.address })).toMatchObject([
        { value: 7n, from: buyer.address },
      ])
      expect(await chain.transfers({ from: buyer.address, to: seller.address })).toEqual([])
      expect(await chain.balanceOf(buyer.address)).toBe(999_999_993n)
    } finally {
      await chain.close()
    }
  })

  it('moves on in time up to the finalized block', async () => {
    const chain = await startChain()
    try {
      const finalizedTime = async () => {
        const reply = await fetch(chain.rpcUrl, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["finalized",false]}',
        })
        const { result } = z.object({ result: z.object({ timestamp: z.string() }) }).parse(await reply.json())
        return Number(result.timestamp)
      }
      const before = await finalizedTime()
      await chain.levers.increaseTime(86_400)
      expect(await finalizedTime()).toBeGreaterThanOrEqual(before + 86_400)
    } finally {
      await chain.close()
    }
  })

  it('mines on the clock when asked to, and not at once', async () => {
    const chain = await startChain({ blockTimeSeconds: 3_600 })
    try {
      const account = privateKeyToAccount(chain.accounts.facilitator.privateKey)
      const client = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
      const hash = await client.sendTransaction({ to: account.address, value: 0n })
      expect((await client.getTransaction({ hash })).blockNumber).toBeNull()
      await chain.levers.mine(1)
      expect((await client.getTransaction({ hash })).blockNumber).not.toBeNull()
    } finally {
      await chain.close()
    }
  })

  it('refuses a chain it has no USDC for, and names those it has', async () => {
    await expect(startChain({ chainId: 1 })).rejects.toThrow(/84532 \(base-sepolia\) or 8453 \(base\)/)
  })

  it('tells what anvil said when it cannot start', async () => {
    const chain = await startChain()
    try {
      const taken = Number(new URL(chain.rpcUrl).port)
      await expect(startChain({ port: taken })).rejects.toThrow(/left at start.*in use.*choose another/s)
    } finally {
      await chain.close()
    }
  })

  it('says so when what it was given is not anvil', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollway-chain-'))
    try {
      const anvilPath = join(dir, 'anvil')
      writeFileSync(anvilPath, '#!/bin/sh\necho I am no chain\nexit 3\n')
      chmodSync(anvilPath, 0o755)
      const lines: string[] = []
      const starting = startChain({ anvilPath, log: (line) => lines.push(line) })
      await expect(starting).rejects.toThrow(/exit code 3.*I am no chain/s)
      expect(lines).toEqual(['I am no chain'])
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it.runIf(process.platform === 'linux')(
    'dies with the process that started it, even by SIGKILL',
    async () => {
      const module = new URL('../../src/app/sandbox/chain/chain.ts', import.meta.url).href
      const script = `const chain = await (await import(${JSON.stringify(module)})).startChain()
      console.log(JSON.stringify({ pid: chain.pid, port: new URL(chain.rpcUrl).port }))`
      const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(parent, 'exit')
      const [line] = z.tuple([z.string()]).parse(await once(createInterface(parent.stdout), 'line'))
      const { pid, port } = Started.parse(JSON.parse(line))
      try {
        // Anvil's death shows as the end (orderly or by reset) of a connection that only it held. Its process id
        // proves nothing: a dead orphan keeps it until somebody reaps it.
        const socket = connect(port, '127.0.0.1').resume()
        await once(socket, 'connect')
        const cut = new Promise((resolve) => {
          socket.once('error', resolve).once('close', resolve)
        })
        parent.kill('SIGKILL')
        await exited
        await cut
        socket.destroy()
      } finally {
        if (isAlive(pid)) process.kill(pid, 'SIGKILL')
      }
    },
  )
})
