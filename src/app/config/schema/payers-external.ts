/** Payers that are other programs, or whose keys another program keeps. */
import { z } from 'zod'
import { isLoopbackHost } from '../values/addresses.ts'
import { sellerHeaders } from './seller-headers.ts'
import * as onChain from './chain-fields.ts'
import * as leaf from './scalar-fields.ts'

const networks = () =>
  z.array(onChain.evmNetwork()).min(1).meta({
    description: 'Networks it may pay on, by alias or CAIP-2 id.',
    example: '[base]',
  })

const concurrency = (why: string) =>
  z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .meta({ description: `Payments in flight at once; ${why}`, example: '4' })

const agentcashKind = () =>
  z.literal('agentcash').meta({
    description: 'How it pays: `agentcash` with the wallet of AgentCash.',
    example: 'agentcash',
  })

/** `kind: agentcash, mode: wallet`. */
const agentcashWallet = z.strictObject({
  kind: agentcashKind(),
  mode: z.literal('wallet').optional().meta({
    description: '`wallet`: Tollway signs with the wallet file itself. The default.',
    example: 'wallet',
  }),
  wallet: z.string().min(1).optional().meta({
    description: 'The wallet file, mode 0600. Default: `.agentcash/wallet.json` in the home directory.',
    example: '/var/lib/me/.agentcash/wallet.json',
  }),
  networks: networks().default(['eip155:8453']),
  ...sellerHeaders,
})

/** `kind: agentcash, mode: mcp` and `mode: cli`. */
const agentcashProgram = z.strictObject({
  kind: agentcashKind(),
  mode: z.literal(['mcp', 'cli']).meta({
    description:
      '`mcp`: one `agentcash server` signs, and is restarted when it exits. `cli`: one process for each payment.',
    example: 'mcp',
  }),
  binary: z.string().min(1).meta({
    description: 'The installed program, at a version of your choice; npx and the like are refused.',
    example: './node_modules/.bin/agentcash',
  }),
  home: z.string().min(1).optional().meta({
    description: 'Directory that holds `.agentcash`. Default: the home directory.',
    example: '/var/lib/tollway',
  }),
  args: z.array(z.string()).default([]).meta({
    description: 'Additional arguments for every start.',
    example: '[--dev]',
  }),
  networks: networks().default(['eip155:8453']),
  ...sellerHeaders,
  concurrency: concurrency('default 8 (`mcp`) and 2 (`cli`).'),
  timeout_seconds: leaf.seconds(28).prefault(25).meta({
    description: 'Longest wait for a free slot and the signature; a reservation lasts 30 s.',
    example: '25',
  }),
})

/** `kind: agentcash`. */
export const agentcash = z.discriminatedUnion('mode', [agentcashWallet, agentcashProgram])

/** `kind: obol, mode: sidecar`. */
export const obolSidecar = z.strictObject({
  kind: z
    .literal('obol')
    .meta({ description: "How it pays: `obol` with Obol's pre-signed authorizations.", example: 'obol' }),
  mode: z.literal('sidecar').meta({
    description: "`sidecar`: a running x402-buyer supplies them; the url of its upstream is Tollway's shim.",
    example: 'sidecar',
  }),
  url: leaf
    .apiBase()
    .meta({ description: 'Where the x402-buyer listens.', example: 'http://127.0.0.1:8404' }),
  remote_model: leaf.model().meta({
    description: '`remoteModel` of the upstream that pays. One payer for each upstream.',
    example: '"qwen3.5:9b"',
  }),
  shim: leaf
    .listenAddress()
    .refine(({ host }) => isLoopbackHost(host), {
      error:
        'must be a loopback address such as 127.0.0.1:8403: run the x402-buyer on this machine, or tunnel to it.',
    })
    .meta({
      description:
        'Where Tollway listens for the x402-buyer: set the url of its upstream to `http://` and this.',
      example: '127.0.0.1:8403',
    }),
  networks: networks(),
  ...sellerHeaders,
  concurrency: concurrency(
    'default 1: an x402-buyer may hand out a held authorization again when it reloads.',
  ),
  max_validity_seconds: z
    .int()
    .min(10)
    .max(366 * 86_400)
    .default(31 * 86_400)
    .meta({
      description: 'How far in the future its authorizations may expire; they were signed in advance.',
      example: '2678400',
    }),
  timeout_seconds: leaf.seconds(28).prefault(10).meta({
    description: 'Longest wait for a free slot and the authorization; a reservation lasts 30 s.',
    example: '10',
  }),
})

/** The output type of {@link agentcash} and {@link obolSidecar}. */
export type CheckedExternalPayer = z.output<typeof agentcash> | z.output<typeof obolSidecar>
