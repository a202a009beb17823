/** Configuration snippets for programs that run with a gateway. */
import { realpathSync } from 'node:fs'
import { stringify } from 'yaml'

/**
 * How this very program is run: the Node that runs it and its own file. systemd knows neither the PATH of a shell nor the Nodes
 * of a version manager.
 */
export function ownProgram(node = process.execPath, script = process.argv[1] ?? ''): string[] {
  return [realpathSync(node), realpathSync(script)]
}

/** Why a program would not run as a service, if it would not. */
export function programNote(program: readonly string[]): string | undefined {
  if (program.some((path) => path.includes('/_npx/')))
    return 'this program is in the cache of npx, which npm may empty. Install it, then run this command again.'
  const home = program.find((path) => /^\/(?:home|root|run\/user)\//.test(path))
  return home === undefined
    ? undefined
    : `the unit hides home directories (ProtectHome=yes), and ${home} is in one. Install Node and tollway outside of it.`
}

/** A systemd unit for one gateway, with minimal privileges. @param program absolute paths, separated by a space */
export function systemdSnippet(configPath: string, program: string): string {
  return `[Unit]
Description=Tollway, a gateway with paid model routes
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=${program} serve --config ${configPath}
# Keys and the other variables of the configuration, mode 0600.
EnvironmentFile=-/etc/tollway/environment
# A key is safer as a credential, which no /proc/<pid>/environ shows: key: "\${credential:wallet-key}".
# LoadCredential=wallet-key:/etc/tollway/wallet.key
DynamicUser=yes
StateDirectory=tollway
StateDirectoryMode=0700
WorkingDirectory=/var/lib/tollway
Restart=on-failure
# Longer than timeouts.shutdown_seconds: running paid calls are booked first.
TimeoutStopSec=60
KillSignal=SIGTERM
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
UMask=0077

[Install]
WantedBy=multi-user.target
`
}

/**
 * What Prometheus needs to scrape the gateway and load its rules, for `prometheus.yml`.
 * @param target host and port of `/metrics`
 * @param rules directory of `recording-rules.yml` and `alerts.yml`
 * @param withToken whether `/metrics` requires a token
 */
export function prometheusSnippet(target: string, rules: string, withToken: boolean): string {
  const authorization = withToken ? { authorization: { credentials_file: 'metrics-token' } } : {}
  return stringify({
    rule_files: [`${rules}/recording-rules.yml`, `${rules}/alerts.yml`],
    scrape_configs: [{ job_name: 'tollway', ...authorization, static_configs: [{ targets: [target] }] }],
  })
}
