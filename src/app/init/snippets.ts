/** Configuration snippets for programs that run with a gateway. */
import { stringify } from 'yaml'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/**
 * LiteLLM's entries for the paid models, with the settings they need, for its `config.yaml`.
 * @param url root address of the gateway
 * @param keyVariable environment variable that LiteLLM reads the caller key from
 */
export function litellmSnippet(
  config: Pick<ResolvedConfig, 'callers' | 'keys' | 'routes'>,
  url: string,
  keyVariable: string,
): string {
  const paid = config.routes.filter(({ payer }) => payer !== undefined).map(({ modelName }) => modelName)
  const names = [...new Set(paid)]
  const apiKey = requiresCallerKey(config) ? `os.environ/${keyVariable}` : 'unused'
  const entries = names.map((name) => ({
    model_name: name,
    // `openai/` means any OpenAI-compatible API to LiteLLM; only the rest is sent.
    litellm_params: { model: `openai/${name}`, api_base: `${url}/v1`, api_key: apiKey, max_retries: 0 },
  }))
  const settings = {
    // Otherwise LiteLLM sends Anthropic messages to /responses, which few sellers support.
    use_chat_completions_url_for_anthropic_messages: true,
    // Otherwise LiteLLM does not forward its clients' tags, sessions and request ids.
    model_group_settings: { forward_client_headers_to_llm_api: names },
  }
  return stringify({ model_list: entries, litellm_settings: settings })
}

/** A systemd unit for one gateway, with minimal privileges. */
export function systemdSnippet(configPath: string, program: string): string {
  return `[Unit]
Description=Tollway, a gateway with paid model routes
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=${program} serve --config ${configPath}
# Keys and the other variables of the configuration, mode 0600.
EnvironmentFile=-/etc/tollway/environment
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
