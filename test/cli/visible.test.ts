/** Whatever a seller, a client or a file writes: no command, log line or error message hands it to a terminal as it is. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { renderDoctor } from '../../src/app/cli/output/doctor-report.ts'
import { run } from '../../src/app/cli/run.ts'
import { visibleTerminal } from '../../src/app/cli/shared/terminal.ts'
import { openParts } from '../../src/app/gateway/open-parts.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { createLogger } from '../../src/app/logging/logger.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { visible, visibleLine } from '../../src/core/visible.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { raw, startRawSeller } from '../kit/raw-seller.ts'
import { wanted } from '../ledger/kit.ts'
import { signed } from '../store/samples.ts'
import { FakeTerminal } from './fake-terminal.ts'

/** What must not reach a terminal, but for line feeds and tabs. */
const DANGEROUS =
  /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]|\u00ad|\u180e|[\u200b-\u200d\u2060-\u2064]|\ufeff|[\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\u{e0100}-\u{e01ef}]/u

const HOSTILE = [
  '\u001b[31mred\u001b[0m',
  '\u001b]0;title\u0007',
  '\u001b]52;c;cm0gLXJm\u0007',
  '\u009b2J',
  '\r forged',
  '\b\b\b',
  '\u0000',
  '\u007f',
  '\u0085next',
  '\u202egnp.exe',
  '\u2066a\u2069',
  '\u200e\u200f\u061c',
  '\u200b\u200c\u200d\u2060\ufeff',
  '\u2028line\u2029paragraph',
  '\u{e0041}\u{e0042}',
  '\u{e0101}',
  '\ud800',
]

const hostile = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 5 })
  .map((parts) => parts.join(''))

describe('a text that is made visible', () => {
  test('holds nothing that a terminal acts upon, and everything that can be read', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(visible(text)).not.toMatch(DANGEROUS)
        expect(visible(text).isWellFormed()).toBe(true)
        expect(visibleLine(text)).not.toMatch(/[\n\t]/)
        expect(visible(visible(text))).toBe(visible(text))
      }),
      { examples: HOSTILE.map((text): [string] => [text]) },
    )
  })

  test('stays the same if it is plain, in any language', () => {
    for (const text of ['gpt-4o\tpaid/*\n', 'Grüße, 東京, العربية, हिन्दी, עברית, 👍, ∑', ''])
      expect(visible(text)).toBe(text)
  })

  test('says the same as JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(hostile, hostile), (value) => {
        expect(JSON.parse(visible(JSON.stringify(value)))).toEqual(JSON.parse(JSON.stringify(value)))
        expect(JSON.parse(visible(JSON.stringify(value, undefined, 2)))).toEqual(
          JSON.parse(JSON.stringify(value)),
        )
      }),
    )
  })
})

describe('what commands write', () => {
  test('goes through one place, to the output, the errors, and as bytes to a person', async () => {
    await fc.assert(
      fc.asyncProperty(hostile, fc.nat(7), async (text, size) => {
        const written: string[] = []
        const outer = Object.assign(new FakeTerminal(), {
          isInteractive: true,
          stdoutBytes: async (chunk: Uint8Array) => void written.push(Buffer.from(chunk).toString('utf8')),
        })
        const terminal = visibleTerminal(outer)
        terminal.stdout(text)
        terminal.stderr(text)
        const bytes = Buffer.from(text)
        for (let at = 0; at < bytes.length; at += size + 1)
          await terminal.stdoutBytes(bytes.subarray(at, at + size + 1))
        expect(outer.out + outer.err + written.join('')).not.toMatch(DANGEROUS)
      }),
    )
  })

  test('as bytes for a program stays as it is', async () => {
    const outer = new FakeTerminal()
    const bytes = Buffer.from('a\u001b[0m\u00ff', 'latin1')
    await visibleTerminal(outer).stdoutBytes(bytes)
    expect(Buffer.from(outer.out, 'latin1').equals(bytes)).toBe(true)
  })

  test('is written by no file past the terminal that it is given', () => {
    const root = join(import.meta.dirname, '../../src/app')
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    const writing = files.filter((name) =>
      /\bprocess\.std(?:out|err)\.write|\bconsole\.\w+\(/.test(readFileSync(join(root, name), 'utf8')),
    )
    // The terminal itself, two programs for developers, and the refusal of an old Node.
    expect(writing.filter((name) => !name.startsWith('spend-page/client/')).toSorted()).toEqual([
      'cli/main.ts',
      'cli/shared/terminal.ts',
      'config/reference.ts',
      'dashboards/write.ts',
    ])
  })

  test('in tables and reports begins no line of its own', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 4 }), (cells) => {
        const forged = cells.map((cell) => `${cell}\nFORGED\r\nFORGED`)
        expect(
          renderTable(
            cells.map(() => 'A'),
            [forged],
          ),
        ).not.toMatch(/^FORGED/m)
        const findings = forged.map((text) => ({
          status: 'ok' as const,
          area: 'sellers' as const,
          text,
          fix: text,
        }))
        expect(renderDoctor(findings)).not.toMatch(/^FORGED/m)
      }),
    )
  })
})

describe('names and texts from outside', () => {
  const bad = HOSTILE.filter((text) => text.isWellFormed()).join('')
  let directory = ''
  let config = ''

  async function tollway(...args: string[]): Promise<string> {
    const terminal = new FakeTerminal({ KEY: `0x${'11'.repeat(32)}` })
    await run(args, terminal)
    return terminal.out + terminal.err
  }

  beforeEach(async () => {
    directory = temporaryDirectory()
    config = join(directory, 'tollway.yaml')
    const settings = { store: 'sqlite:./tollway.db', audit: { path: './audit.jsonl' } }
    writeFileSync(config, JSON.stringify(settings))
    const parts = await openParts(parseConfig(settings, {}, { directory }))
    const { ledger } = parts
    const held = await ledger.reserve(
      wanted({ requestId: 'req-1', model: `paid/${bad}`, caller: 'a' }),
      [],
      false,
    )
    await ledger.settle(await ledger.authorize(held, signed(1)), 'receipt', bad)
    await parts.close()
  })

  test.each([
    ['report'],
    ['report', '--by', 'model'],
    ['report', '--json'],
    ['audit', 'show', '--request', 'req-1'],
    ['audit', 'show', '--request', 'req-1', '--json'],
    ['budgets'],
    ['sellers', 'list'],
    ['list'],
    ['reconcile'],
  ])('reach nobody raw through: %s %s %s %s', async (...args) => {
    const out = await tollway(...args.filter((arg) => arg !== undefined), '--config', config)
    expect(out).not.toMatch(DANGEROUS)
    expect(out).not.toBe('')
  })

  test.each([
    ['a model', { model_list: [{ model_name: `m${bad}`, api_base: 'http://127.0.0.1:1' }] }],
    ['a key', { [`listen${bad}`]: 1 }],
    ['a value', { store: `sqlite:${bad}x` }],
  ])('in a configuration reach nobody raw: %s', async (_name, content) => {
    writeFileSync(config, JSON.stringify(content))
    for (const json of [[], ['--json']])
      expect(await tollway('check', '--config', config, ...json)).not.toMatch(DANGEROUS)
  })

  test('as arguments reach nobody raw', async () => {
    for (const args of [[bad], ['probe', bad], ['status', bad, '--config', config], ['report', `--${bad}`]]) {
      expect(await tollway(...args)).not.toMatch(DANGEROUS)
    }
  })

  test('of a seller reach nobody raw through probe', async () => {
    const seller = await startRawSeller((socket) => {
      const body = JSON.stringify({
        x402Version: 1,
        error: bad,
        accepts: [
          {
            scheme: bad,
            network: bad,
            asset: bad,
            payTo: bad,
            maxAmountRequired: '1',
            resource: bad,
            description: bad,
          },
        ],
      })
      socket.end(
        raw(
          402,
          { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
          body,
        ),
      )
    })
    try {
      for (const json of [[], ['--json']]) {
        expect(await tollway('probe', `${seller.apiBase}/chat/completions`, ...json)).not.toMatch(DANGEROUS)
      }
    } finally {
      await seller.close()
    }
  })
})

describe('log lines and error messages', () => {
  test.each(['json', 'text'] as const)('hold nothing that a terminal acts upon, as %s', (format) => {
    fc.assert(
      fc.property(hostile, (text) => {
        const lines: string[] = []
        const log = createLogger({ level: 'info', format, write: (line) => void lines.push(line) })
        log.info({ model: `${text}\nFORGED`, nested: { text } }, `${text}\nFORGED`)
        expect(lines.join('')).not.toMatch(DANGEROUS)
        expect(lines.join('')).not.toMatch(/^FORGED/m)
        expect(lines).toHaveLength(1)
      }),
    )
  })

  test('of a TollwayError hold nothing that a terminal acts upon', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const error = new TollwayError({ code: 'seller_error', message: text, advice: [text] })
        expect(error.message).not.toMatch(DANGEROUS)
        expect(JSON.stringify(error.toBody())).not.toMatch(DANGEROUS)
      }),
    )
  })
})
