import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { launchChromium } from '../kit/chromium.ts'

let world: World
let tollway: TestGateway
let site: Server
let browser: Browser
let page: Page

beforeAll(async () => {
  world = await startWorld()
  tollway = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }],
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
  })
  // A page of another origin on this machine: as near to the gateway as a hostile page can get.
  site = createServer((_request, response) => {
    response
      .setHeader('content-type', 'text/html')
      .end('<!doctype html><title>evil</title><form method="post"></form>')
  })
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  browser = await launchChromium()
  page = await browser.newPage()
  page.setDefaultTimeout(240_000)
})

afterAll(async () => {
  await browser?.close()
  site?.close()
  await tollway?.close()
  await world?.close()
})

test('a real browser on another origin cannot make the gateway pay, by any request a page can send', async () => {
  await page.goto(`http://localhost:${(site.address() as AddressInfo).port}/`)
  const outcomes = await page.evaluate(async (url) => {
    const body = JSON.stringify({ model: 'paid/sandbox-small', messages: [] })
    const tries: RequestInit[] = [
      { method: 'POST', body, headers: { 'content-type': 'application/json' } },
      { method: 'POST', body, mode: 'no-cors', headers: { 'content-type': 'text/plain' } },
      { method: 'POST', body, mode: 'no-cors', credentials: 'include' },
    ]
    const told: string[] = []
    for (const init of tries) {
      told.push(
        await fetch(`${url}/v1/chat/completions`, init).then(
          (answer) => `${answer.type} ${answer.status}`,
          () => 'blocked',
        ),
      )
    }
    navigator.sendBeacon(`${url}/v1/chat/completions`, body)
    return told
  }, tollway.url)
  expect(outcomes).toEqual(['blocked', 'opaque 0', 'opaque 0'])

  await page.evaluate((url) => {
    const form = document.querySelector('form')
    if (!form) throw new Error('no form')
    form.action = `${url}/v1/chat/completions`
    form.submit()
  }, tollway.url)
  await page.waitForURL(`${tollway.url}/**`)
  expect(await page.textContent('body')).toContain('origin_not_allowed')

  expect(world.seller.log).toEqual([])
  expect(await world.chain.transfers({ from: world.chain.accounts.buyer.address })).toEqual([])
})
