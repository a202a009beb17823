/** Commands of other programs that have no counterpart of the same name: one line each says what does their work. */

const REPLACED: ReadonlyMap<string, string> = new Map([
  [
    'go',
    'Ask for the price with `tollway probe <url>`, and pay with `tollway pay <url>`; for many requests, `tollway buy`.',
  ],
  [
    'pay-agent',
    'Use `tollway pay <url> --data \'{"messages":[{"role":"user","content":"…"}],"stream":true}\'`: what the agent answers is printed as it comes.',
  ],
  ['fetch', "AgentCash's fetch is `tollway pay <url> --request POST --data '…' --max-usd <amount>`."],
  ['curl', "pay.sh's curl is `tollway pay <url> --max-usdc <amount>`."],
  ['agent_pay', 'It is the tool pay of `tollway mcp`, and typed `tollway pay <url> --max-usdc <amount>`.'],
  ['start', "Use `tollway serve`, or with blockrun-openclaw-proxy's variables `tollway serve --blockrun`."],
  [
    'siwx',
    'Write policy: { sign_in: true }: where a seller that was paid before offers to sign in, the gateway and `tollway pay` do so by themselves.',
  ],
])

/** What to use instead of a command; `undefined` for every other name. */
export function replacementOf(command: string | undefined): string | undefined {
  const line = command === undefined ? undefined : REPLACED.get(command)
  return line === undefined ? undefined : `tollway has no command ${command}. ${line}\n`
}
