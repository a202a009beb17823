/** The commented configuration that `tollway init` writes. */
import { stringify } from 'yaml'

/** One model to sell. */
export interface StarterModel {
  /** What clients ask for. */
  readonly name: string
  /** What the seller calls it. */
  readonly model: string
  readonly apiBase: string
  /** What a catalogue names, so that a 402 that differs is refused. */
  readonly pin?: { readonly network?: string } | undefined
}

/** What the configuration says. */
export interface StarterFacts {
  /** Alias, such as `base`. */
  readonly network: string
  readonly models: readonly StarterModel[]
  /** Decimal texts, USD. */
  readonly dailyUsd: string
  readonly ceilingUsd: string
  /** Entry of a wallet that exists already, without networks; `undefined` for the one of this directory. */
  readonly wallet?: object | undefined
}

/** YAML with comments; paths are relative to it. */
export function starterConfig({ network, models, dailyUsd, ceilingUsd, wallet }: StarterFacts): string {
  const entries = models.map(({ name, model, apiBase, pin }) => ({
    model_name: name,
    model,
    api_base: apiBase,
    payer: 'wallet',
    ...(pin ? { pin } : {}),
  }))
  return `# Made by tollway init. Every key: docs/configuration.md. See what it does: tollway check
listen: 127.0.0.1:8402
store: sqlite:./tollway.db # the ledger: budgets and payments survive a restart

payers:
  wallet:
    kind: direct
${wallet ? indented(stringify(wallet)) : NEW_WALLET}    networks: [${network}]

# Add a node to see balances and to prove payments whose answer was lost:
# chains: { ${network}: { rpc: "https://…" } }

${entries.length === 0 ? EXAMPLE_ENTRY : `# Models without a payer are not paid; see docs/routing.md\n${stringify({ model_list: entries })}`}
budgets: # all of them apply to every payment
  - name: all
    limit_usd: "${dailyUsd}" # money in quotes
    window: day

policy:
  max_usd_per_request: "${ceilingUsd}"
`
}

const NEW_WALLET = `    keystore: # encrypted; keep both files, they are the wallet
      path: ./wallet.json
      password: "\${file:./wallet.password}"
`

function indented(yaml: string): string {
  return yaml.replaceAll(/^(?=.)/gm, '    ')
}

const EXAMPLE_ENTRY = `# Add a seller: its address from its documentation, checked with tollway probe <address>
# model_list:
#   - { model_name: "paid/*", model: "*", api_base: "https://seller.example.com/v1", payer: wallet }
`
