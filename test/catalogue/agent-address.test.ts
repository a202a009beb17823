/** Where the file of an agent is read: its address is a stranger's word. */
import { expect, it } from 'vitest'
import { httpOf } from '../../src/app/catalogue/load-agents.ts'

const CID = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG'
const GATEWAY = 'https://IPFS.example.com:443/'

it.each([
  [`ipfs://${CID}`, `/ipfs/${CID}`],
  [`ipfs://ipfs/${CID}/agent.json`, `/ipfs/${CID}/agent.json`],
  [`ipfs://${CID}/a%20b/.well-known/..c`, `/ipfs/${CID}/a%20b/.well-known/..c`],
])('reads %s below the gateway', (uri, path) => {
  expect(httpOf(uri, GATEWAY)).toBe(`https://IPFS.example.com:443${path}`)
})

it.each([
  '../api',
  'a/../../api',
  '%2e%2e/%2e%2e/api',
  '.%2E/api',
  '%2e/a',
  'a%2f..%2f..%2fapi',
  '..%5c..%5capi',
  '%zz',
  '%c0%ae',
])('reads nothing for a path that leads out of its content, %s', (path) => {
  expect(httpOf(`ipfs://${CID}/${path}`, GATEWAY)).toBeUndefined()
})

it('reads no ipfs address without a gateway, and no other kind', () => {
  expect(httpOf(`ipfs://${CID}`, undefined)).toBeUndefined()
  for (const uri of ['file:///etc/passwd', 'gopher://x/', `ipns://${CID}`, 'HTTPS://x', ''])
    expect(httpOf(uri, GATEWAY)).toBeUndefined()
})
