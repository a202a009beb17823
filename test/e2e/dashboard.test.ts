import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import axeCore from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { launchChromium } from '../kit/chromium.ts'
import { ask, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { wanted } from '../ledger/kit.ts'
import { seedCharge, type Fate } from '../spend-page/seed.ts'

/** Where pictures of the page are put when `TOLLWAY_TEST_PICTURES` is set: no test looks at them, and they take their time. */
const ARTIFACTS = join(import.meta.dirname, '../artifacts/dashboard')
const HAS_PICTURES = process.env['TOLLWAY_TEST_PICTURES'] !== undefined
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } }
const MINUTE = 60_000
/** How long the browser may take for anything: a guard against what hangs. */
const PATIENCE_MS = 4 * MINUTE

let world: World
let tollway: TestGateway
let browser: Browser
let context: BrowserContext | undefined
const faults: string[] = []

beforeAll(async () => {
  if (HAS_PICTURES) mkdirSync(ARTIFACTS, { recursive: true })
  world = await startWorld()
  tollway = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }],
    budgets: [
      { name: 'all', limit_usd: '5.00', window: 'day', soft_usd: '4.00' },
      { name: 'each', per: 'caller', limit_usd: '0.50', window: '7d' },
      { name: 'small', limit_usd: '0.20', window: 'lifetime', enforce: false },
    ],
    tags: { open: ['agent'] },
  })
  const { ledger, config } = tollway.gateway.parts
  const fates: readonly Fate[] = ['receipt', 'receipt', 'assumed', 'receipt', 'released', 'uncertain']
  for (let n = 0; n < 60; n += 1) {
    const amount = BigInt(3_000 + ((n * 7919) % 9_000))
    const fate = n === 0 ? 'held' : n === 1 ? 'authorized' : (fates[n % 6] ?? 'receipt')
    await seedCharge(
      ledger,
      9_000 - n,
      fate,
      {
        reservedAt: Date.now() - MINUTE - n * 20 * MINUTE,
        amount,
        microUsd: amount,
        caller: ['openclaw', 'cron'][n % 2] ?? 'cron',
        route: ['paid/*', 'vision/*', 'embed'][n % 3] ?? 'embed',
      },
      config.budgets,
    )
  }
  for (const model of ['unknown-1', 'unknown-2']) {
    expect((await ask(tollway.url, { model })).status).toBe(404)
  }
  browser = await launchChromium()
})

afterEach(async () => {
  await context?.close()
  context = undefined
  expect(faults.splice(0)).toEqual([])
})

afterAll(async () => {
  await browser?.close()
  await tollway?.close()
  await world?.close()
})

/** Opens the page and waits until it shows charges; whatever the browser complains of fails the test. */
async function open(
  query = '',
  options: { size?: keyof typeof SIZES; scheme?: 'light' | 'dark' } = {},
): Promise<Page> {
  const { size = 'desktop', scheme = 'light' } = options
  context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme, reducedMotion: 'reduce' })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  page.on('console', (message) => faults.push(message.text()))
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('requestfailed', (request) => {
    // Leaving a page ends what it was loading.
    const why = request.failure()?.errorText
    if (why !== 'net::ERR_ABORTED') faults.push(`${request.url()} failed: ${why}`)
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(tollway.url)) faults.push(`${request.url()} is another host`)
  })
  await page.goto(`${tollway.url}/dashboard${query}`)
  await page.waitForSelector('#charge-rows tr, #charges-empty:not([hidden])')
  await page.waitForSelector('#live[data-state=live]')
  await page.waitForSelector('.budget')
  return page
}

async function photograph(page: Page, name: string, fullPage = false): Promise<void> {
  if (HAS_PICTURES) await page.screenshot({ path: join(ARTIFACTS, name), fullPage })
}

const rows = async (page: Page): Promise<number> =>
  await page.locator('#charge-rows tr:not(.refused-row)').count()

describe('the page', () => {
  test.each(['desktop', 'phone'] as const)(
    'at %s size, light and dark, has no accessibility violation and never scrolls sideways',
    async (size) => {
      for (const scheme of ['light', 'dark'] as const) {
        await context?.close()
        const page = await open('?by=route', { size, scheme })
        await page.waitForSelector('#legend li')
        await photograph(page, `${size}-${scheme}.png`, true)
        await photograph(page, `${size}-${scheme}-first.png`)
        expect(await violations(page)).toEqual([])
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        expect(wide).toBeLessThanOrEqual(0)
        await page.click('.record-link')
        await page.waitForSelector('.facts')
        await photograph(page, `${size}-${scheme}-record.png`)
        if (scheme === 'dark') expect(await violations(page)).toEqual([])
      }
    },
  )

  test('shows the sums of the ledger, to the last digit', async () => {
    const page = await open()
    const { store } = tollway.gateway.parts.ledger
    const charges = await store.charges({ limit: 1000 })
    const sum = (...states: string[]): string => {
      const micro = charges
        .filter(({ state }) => states.includes(state))
        .reduce((total, { microUsd }) => total + (microUsd ?? 0n), 0n)
      return `$${micro / 1_000_000n}.${String(micro % 1_000_000n)
        .padStart(6, '0')
        .replace(/0{1,4}$/, '')}`
    }
    expect(await page.textContent('#figure-spent')).toBe(sum('settled'))
    expect(await page.textContent('#figure-held')).toBe(sum('held', 'authorized'))
    expect(await page.textContent('#figure-uncertain')).toBe(sum('uncertain'))
    expect(await page.textContent('#figure-count')).toBe(
      String(charges.filter(({ state }) => state === 'settled').length),
    )
    expect(await page.textContent('#chart-readout')).toBe(
      `${sum('settled', 'held', 'authorized', 'uncertain')} in all`,
    )
    expect(await page.textContent('#spend-table tbody')).toContain('$0.0')
    expect(await page.textContent('#budgets')).toContain('only watched')
    expect(await page.textContent('#figure-tokens')).toMatch(/^(?:-|\$0\.\d+)$/)
  })

  test('shows a call while it is paid, with its transaction and its audit records', async () => {
    const page = await open()
    const before = await page.textContent('#figure-count')
    await ask(tollway.url, { model: 'paid/sandbox-small' })
    const [charge] = await tollway.gateway.parts.ledger.store.charges({ limit: 1 })
    const row = page.locator('#charge-rows tr', { has: page.locator(`a[href="#${charge?.id}"]`) })
    await row.locator('.state[data-state=settled]').waitFor()
    expect(await row.locator('td.hash a').getAttribute('href')).toBe(
      `https://sepolia.basescan.org/tx/${charge?.transaction}`,
    )
    await page.waitForFunction((old) => document.querySelector('#figure-count')?.textContent !== old, before)
    expect(await page.textContent('#figure-count')).toBe(String(Number(before) + 1))

    await row.locator('.record-link').click()
    await page.waitForSelector('.trail li')
    expect(await page.locator('.trail-head strong').allTextContents()).toEqual([
      'charge.held',
      'budget.would_refuse',
      'charge.authorized',
      'charge.settled',
      'request',
    ])
    expect(await page.locator('.trail').textContent()).not.toContain('changed from outside')
    await page.goBack()
    await page.waitForSelector('#record:not([open])', { state: 'attached' })
  })

  test('keeps its filters in the address: shared, gone back to, and in the export', async () => {
    const page = await open()
    const all = await rows(page)
    await page.selectOption('select[name=state]', 'uncertain')
    await page.waitForFunction(
      (old) => document.querySelectorAll('#charge-rows tr:not(.refused-row)').length < old,
      all,
    )
    expect(new URL(page.url()).search).toBe('?state=uncertain')
    const few = await rows(page)
    expect(few).toBe((await tollway.gateway.parts.ledger.store.charges({ states: ['uncertain'] })).length)

    const csv = await page.evaluate(
      async (link) => await (await fetch(document.querySelector<HTMLAnchorElement>(link)?.href ?? '')).text(),
      '#export-csv',
    )
    expect(csv.trimEnd().split('\r\n')).toHaveLength(few + 1)

    await page.reload()
    await page.waitForSelector('#charge-rows tr')
    expect(await rows(page)).toBe(few)
    expect(await page.inputValue('select[name=state]')).toBe('uncertain')

    await page.selectOption('select[name=caller]', { index: 1 })
    await page.waitForURL('**state=uncertain&caller=*')
    await page.goBack()
    await page.waitForURL('**?state=uncertain')
    expect(await page.inputValue('select[name=caller]')).toBe('')
    await page.click('#clear')
    await page.waitForURL(`${tollway.url}/dashboard`)
  })

  test('says what would be there when no charge matches, and keeps a name that it does not know', async () => {
    const page = await open('?route=nobody%2F*')
    expect(await page.textContent('#charges-empty')).toBe('Nothing matches these filters.')
    expect(await page.inputValue('select[name=route]')).toBe('nobody/*')
  })

  test('older charges come page by page, and stay when the page brings itself up to date', async () => {
    const page = await open('?range=7d')
    expect(await rows(page)).toBe(50)
    await page.click('#more')
    await page.waitForFunction(
      () => document.querySelectorAll('#charge-rows tr:not(.refused-row)').length > 50,
    )
    const count = await rows(page)
    expect(await page.isHidden('#more')).toBe(true)
    await ask(tollway.url, { model: 'paid/sandbox-small' })
    await page.waitForFunction(
      (old) => document.querySelectorAll('#charge-rows tr:not(.refused-row)').length === old + 1,
      count,
    )
  })

  test('many payments at once are laid out together, and the sums asked for one at a time', async () => {
    const page = await open()
    let [asked, asking, most] = [0, 0, 0]
    await page.route('**/api/spend?*', async (route) => {
      asked += 1
      asking += 1
      most = Math.max(most, asking)
      const answer = await route.fetch()
      await new Promise((resolve) => setTimeout(resolve, 40))
      asking -= 1
      await route.fulfill({ response: answer })
    })
    await page.evaluate(() => {
      const table = document.querySelector('#charge-rows')
      document.body.dataset['layouts'] = '0'
      document.body.dataset['begun'] = String(performance.now())
      new MutationObserver(() => {
        document.body.dataset['layouts'] = String(Number(document.body.dataset['layouts']) + 1)
      }).observe(table ?? document.body, { childList: true })
    })
    const { ledger } = tollway.gateway.parts
    let last = ''
    for (let n = 0; n < 150; n += 1) {
      const held = await ledger.reserve(wanted({ requestId: `burst-${n}` }), [], false)
      await ledger.release(held, 'seller_unavailable')
      last = held.id
    }
    await page.waitForSelector(`tr:has(a[href="#${last}"]) [data-state=released]`)
    await expect.poll(() => asked).toBeGreaterThanOrEqual(2)
    expect(most).toBe(1)
    // 300 events came, however fast: a layout waits for 100 ms of them.
    const spare = await page.evaluate(() => {
      const { layouts, begun } = document.body.dataset
      return (performance.now() - Number(begun)) / 99 + 2 - Number(layouts)
    })
    expect(spare).toBeGreaterThan(0)
    await page.unrouteAll({ behavior: 'wait' })
  })

  test('long names wrap: nothing scrolls sideways', async () => {
    // What the server says is played here: such names need no charges of their own.
    const long = 'nameWithoutAnyPlaceToBreak'.repeat(4)
    const phone = await open('', { size: 'phone' })
    await phone.route('**/api/budgets', async (route) => {
      const answer = await route.fetch()
      const { budgets } = (await answer.json()) as { budgets: object[] }
      const renamed = budgets.map((budget) => ({ ...budget, budget: long, per: 'model', subject: long }))
      await route.fulfill({ json: { budgets: renamed } })
    })
    await phone.route('**/api/funds', async (route) => {
      const pool = { payer: long, pool: long, seller: `https://${long}.example`, vouchers: { ready: 3 } }
      await route.fulfill({ json: { wallets: null, pools: [{ ...pool, exposure_usd: '0.003' }] } })
    })
    await phone.reload()
    await phone.waitForSelector('.fund-head strong')
    for (const width of [SIZES.phone.width, 320, SIZES.desktop.width]) {
      await phone.setViewportSize({ width, height: 800 })
      const tooWide = await phone.evaluate(() =>
        document.documentElement.scrollWidth <= innerWidth
          ? []
          : [...document.querySelectorAll('main *')]
              .filter((node) => node.getBoundingClientRect().right > innerWidth)
              .map((node) => node.outerHTML.slice(0, 100)),
      )
      expect(tooWide, `at ${width} pixels`).toEqual([])
    }
    await phone.unrouteAll({ behavior: 'wait' })
  })

  test('can be walked by keyboard alone: skip link, filters, record and back to where one was', async () => {
    const page = await open()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the charges')
    await page.keyboard.press('Enter')
    const reached = new Set<string>()
    for (let presses = 0; presses < 6; presses += 1) {
      await page.keyboard.press('Tab')
      const [name, href] = await page.evaluate(() => [
        document.activeElement?.textContent ?? '',
        document.activeElement?.getAttribute('href') ?? '',
      ])
      reached.add(name ?? '')
      if (href?.startsWith('#chg_')) break
    }
    expect([...reached]).toEqual(expect.arrayContaining(['CSV', 'JSON', 'Record']))
    const link = await page.evaluate(() => document.activeElement?.getAttribute('href'))
    await page.keyboard.press('Enter')
    await page.waitForSelector('#record[open] .facts')
    expect(await page.evaluate(() => document.activeElement?.closest('dialog')?.id)).toBe('record')
    await page.keyboard.press('Escape')
    await page.waitForSelector('#record:not([open])', { state: 'attached' })
    expect(await page.evaluate(() => document.activeElement?.getAttribute('href'))).toBe(link)
    await page.focus('input[name=range]:checked')
    await page.keyboard.press('ArrowRight')
    await page.waitForURL('**?range=7d')
  })

  test('shows the ten budgets nearest to their limits, and the rest folded, with a search', async () => {
    const page = await open()
    await page.route('**/api/budgets', async (route) => {
      const answer = await route.fetch()
      const { budgets } = (await answer.json()) as { budgets: Record<string, unknown>[] }
      const [first] = budgets
      const many = Array.from({ length: 40 }, (_, n) => {
        const amounts = {
          limit_usd: '1',
          spent_usd: `0.${String(n + 10)}`,
          held_usd: '0',
          uncertain_usd: '0',
        }
        return { ...first, ...amounts, budget: 'each', per: 'caller', subject: `caller-${n}`, soft_usd: null }
      })
      await route.fulfill({ json: { budgets: many } })
    })
    await page.reload()
    await page.waitForSelector('#budgets-fold:not([hidden])')
    const heads = await page.locator('#budgets .budget-head').allTextContents()
    expect(heads).toHaveLength(10)
    expect(heads[0]).toContain('caller-39')
    expect(heads[9]).toContain('caller-30')
    expect(await page.textContent('#budgets-more')).toBe('30 more, further from their limits')
    expect(await page.isVisible('#budgets-search')).toBe(false)
    await page.click('#budgets-more')
    await page.fill('#budgets-search', 'CALLER-7')
    expect(await page.locator('#budgets-rest .budget-head').allTextContents()).toEqual([
      expect.stringContaining('caller-7'),
    ])
    await page.unrouteAll({ behavior: 'wait' })
  })

  test('tells what was refused, why and how to lift it, in a panel and among the charges', async () => {
    const page = await open()
    const panel = page.locator('#refusals .refusal', { hasText: 'model not found' })
    expect(await panel.textContent()).toMatch(/2 times.*No route serves the model\.To lift it: Add a route/)
    await page.selectOption('select[name=state]', 'refused')
    await page.waitForURL('**?state=refused')
    await expect.poll(async () => await page.locator('#charge-rows tr').count()).toBe(2)
    const row = page.locator('#charge-rows tr.refused-row').first()
    expect(await row.textContent()).toContain('unknown-2')
    // Anywhere in the row.
    await row.locator('td').nth(2).click()
    await page.waitForSelector('#record[open] .facts')
    expect(await page.textContent('#record-body')).toContain('GET /v1/models')
    await page.keyboard.press('Escape')
    await page.selectOption('select[name=state]', 'failed')
    await page.waitForSelector('#charges-empty:not([hidden])')
  })

  test('marks its numbers as old while the gateway cannot be reached, and no longer after', async () => {
    const page = await open()
    await page.route('**/api/*', async (route) => await route.fulfill({ status: 502 }))
    const look = async (): Promise<void> =>
      await page.evaluate(() => {
        document.dispatchEvent(new Event('visibilitychange'))
      })
    await look()
    await page.waitForSelector('body[data-old] #problem:not([hidden])')
    expect(await page.textContent('#problem')).toMatch(/cannot be reached.*What you see is old: it is as of /)
    expect(faults.splice(0).every((words) => words.includes('502'))).toBe(true)
    await page.unrouteAll({ behavior: 'wait' })
    await look()
    await page.waitForSelector('body:not([data-old]) #problem[hidden]', { state: 'attached' })
  })

  test('folds its filters on a phone, and tells how many are set', async () => {
    const page = await open('?caller=cron', { size: 'phone' })
    expect(await page.isVisible('select[name=state]')).toBe(false)
    expect(await page.textContent('#fold-filters')).toBe('Filters (1)')
    await page.focus('#fold-filters')
    await page.keyboard.press('Enter')
    expect(await page.getAttribute('#fold-filters', 'aria-expanded')).toBe('true')
    expect(await page.isVisible('select[name=state]')).toBe(true)
    await page.setViewportSize(SIZES.desktop)
    expect(await page.isVisible('#fold-filters')).toBe(false)
  })

  test('groups spending by model and by the tags of the configuration', async () => {
    await ask(tollway.url, { model: 'paid/sandbox-small' }, { 'x-clawrouter-agent-id': 'coder' })
    const page = await open()
    await page.selectOption('#by', 'tag.agent')
    await page.waitForURL('**?by=tag.agent')
    await expect.poll(async () => await page.locator('#legend .name').allTextContents()).toContain('coder')
    await page.goto(`${tollway.url}/dashboard?by=tag.gone`)
    await expect.poll(async () => await page.inputValue('#by')).toBe('tag.gone')
  })

  test('keeps a chosen theme, whatever the system says', async () => {
    const page = await open('', { scheme: 'dark' })
    const ground = async (): Promise<string> =>
      await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const dark = await ground()
    await page.click('#theme')
    expect(await page.textContent('#theme')).toBe('Theme: light')
    const light = await ground()
    expect(light).not.toBe(dark)
    await page.reload()
    await page.waitForSelector('#charge-rows tr')
    expect(await ground()).toBe(light)
  })

  test('does not move what is there when its data comes', async () => {
    const page = await open()
    const shift = await page.evaluate(
      async () =>
        await new Promise<number>((resolve) => {
          let sum = 0
          const observer = new PerformanceObserver((list) => {
            for (const entry of list.getEntries())
              sum += (entry as PerformanceEntry & { value: number }).value
          })
          observer.observe({ type: 'layout-shift', buffered: true })
          requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)))
        }),
    )
    expect(shift).toBeLessThan(0.1)
  })
})

describe('with an admin key', () => {
  let keyed: TestGateway
  beforeAll(async () => {
    process.env['TEST_DASHBOARD_KEY'] = 'a-long-admin-key'
    keyed = await startGateway({ admin: { key: '${env:TEST_DASHBOARD_KEY}' } })
  })
  afterAll(async () => await keyed?.close())

  test('asks for it in a form, keeps the filters, and forgets one who signs out', async () => {
    context = await browser.newContext({ viewport: SIZES.phone, colorScheme: 'dark' })
    context.setDefaultTimeout(PATIENCE_MS)
    const page = await context.newPage()
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      // The browser itself tells of each answer that refuses, and would like to be told a user name too.
      const expected =
        message.text().includes('status of 401') || message.text().startsWith('[DOM] Password forms')
      if (!expected) faults.push(message.text())
    })
    await page.goto(`${keyed.url}/dashboard?range=7d`)
    expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('key')
    await photograph(page, 'sign-in-phone-dark.png')
    expect(await violations(page)).toEqual([])
    await page.keyboard.type('a-wrong-key')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#refused:not([hidden])')
    expect(await page.textContent('#refused')).toBe('That is not the admin key.')
    await page.keyboard.type('a-long-admin-key')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#charges-empty:not([hidden])')
    expect(page.url()).toBe(`${keyed.url}/dashboard?range=7d`)
    expect(await page.isChecked('input[value="7d"]')).toBe(true)
    expect(await page.evaluate(() => document.cookie)).toBe('')
    expect(await page.textContent('#charges-empty')).toContain('Nothing was paid in this range yet')
    expect(await page.textContent('#budgets')).toContain('No budgets are configured')
    await photograph(page, 'empty-phone-dark.png', true)
    await page.click('#sign-out button')
    await page.waitForSelector('#sign-in')
  })
})

/** What axe finds, with the elements, by all the rules it runs unasked. */
async function violations(page: Page): Promise<unknown[]> {
  // By its own protocol: a script element would be refused by the page's policy.
  const session = await page.context().newCDPSession(page)
  await session.send('Page.setBypassCSP', { enabled: true })
  await page.evaluate(axeCore.source)
  return await page.evaluate(async () => {
    // Rows are alike, and each takes its time.
    for (const row of document.querySelectorAll('#charge-rows tr:nth-child(n + 13)')) row.remove()
    const { axe } = globalThis as unknown as {
      axe: {
        run: (options: object) => Promise<{
          violations: { id: string; nodes: { html: string; failureSummary: string }[] }[]
        }>
      }
    }
    const { violations: found } = await axe.run({ resultTypes: ['violations'] })
    return found.map(({ id, nodes }) => [
      id,
      ...nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`),
    ])
  })
}
