/** The commented example that `tollway check --help` shows; the same text as examples/tollway.yaml. */
export const EXAMPLE_CONFIG = `# A small Tollway configuration. Every key: docs/configuration.md
# Needs TOLLWAY_WALLET_KEY and OPENAI_API_KEY in the environment; see what it does with: tollway check
listen: 127.0.0.1:8402
store: sqlite:./tollway.db

payers:
  base:
    kind: direct
    key: "\${env:TOLLWAY_WALLET_KEY}" # or "\${file:./wallet.key}", a file with mode 0600
    networks: [base-sepolia] # a test network: no real money

model_list:
  - model_name: "paid/*" # what clients ask for
    model: "*" # what the seller calls it
    api_base: https://seller.example.com/v1
    payer: base # no payer: the route is not paid
  - model_name: gpt-4o
    api_base: https://api.openai.com/v1
    api_key: "\${env:OPENAI_API_KEY}"

budgets: # all of them apply to every payment
  - name: all
    limit_usd: "5.00" # money in quotes
    window: day

policy:
  max_usd_per_request: "0.10"
`
